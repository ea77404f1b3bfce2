"""Payouts, and what people say about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.finding import row_of, show
from api.idempotency import Held, claim_for, require_key
from api.openapi import acts, body_of, creates, reads
from api.operations import carry
from api.pages import ListOf, Page, page
from api.parts import parts_of
from api.problems import Problem, of_refusal
from api.requests import ApprovePayout, CreatePayout, RefusePayout
from api.sagas import StillOpen, UpdateRefused
from recompense.contracts.sagas import (
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    PayoutReviewed,
)
from recompense.contracts.scopes import Scope
from recompense.contracts.views import PayoutView
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import reads as rows
from recompense.persistence.tables import Payout
from recompense.persistence.views import payout_view

router = APIRouter(tags=["payouts"])

_READERS = allows(Scope.PAYOUTS_READ)
_WRITERS = allows(Scope.PAYOUTS_WRITE)
_APPROVERS = allows(Scope.PAYOUTS_APPROVE)
_KEY = Depends(require_key)
_CreateBody = JsonBody(CreatePayout)
_ApproveBody = JsonBody(ApprovePayout, optional=True)
_RefuseBody = JsonBody(RefusePayout)


@router.post(
    "/v1/payouts",
    dependencies=[_WRITERS, _KEY],
    **creates(PayoutView, "Pay out"),
    openapi_extra=body_of(CreatePayout, waits=True),
)
async def create_payout(
    request: Request, body: Annotated[CreatePayout, Depends(_CreateBody)]
) -> Response:
    """Pay a merchant's available money out.

    Above the merchant's threshold it awaits an approval.
    """
    caller = caller_of(request)
    await parts_of(request).merchants.require(caller, body.merchant_id)
    saga = PayoutInput(
        payout_id=new_id(IdPrefix.PAYOUT),
        merchant_id=body.merchant_id,
        amount=body.amount,
        currency=body.currency,
        token=body.destination.token,
        reference=body.reference,
        requested_by=caller.subject,
    )
    return await carry(request, saga)


@router.get("/v1/payouts", dependencies=[_READERS], **reads(Page[PayoutView], "List payouts"))
async def list_payouts(request: Request, query: ListOf) -> Response:
    """The newest payouts first."""
    async with parts_of(request).database.transaction() as session:
        found = await rows.listed(session, Payout, query.filters(caller_of(request)))
    return page(found, query.limit, payout_view, lambda row: row.id)


@router.get(
    "/v1/payouts/{payout_id}", dependencies=[_READERS], **reads(PayoutView, "Read a payout")
)
async def read_payout(request: Request, payout_id: str) -> Response:
    """A payout as it is now."""
    return await show(request, IdPrefix.PAYOUT, payout_id, Payout, payout_view)


@router.post(
    "/v1/payouts/{payout_id}/approve",
    dependencies=[_APPROVERS, _KEY],
    **acts(PayoutView, "Approve a payout"),
    openapi_extra=body_of(ApprovePayout, optional=True),
)
async def approve_payout(
    request: Request, payout_id: str, body: Annotated[ApprovePayout, Depends(_ApproveBody)]
) -> Response:
    """Approve a payout that awaits it. Who asked for it cannot: 403 `four_eyes`."""
    return await _review(request, payout_id, PayoutReviewDecision.APPROVE, body.reason)


@router.post(
    "/v1/payouts/{payout_id}/reject",
    dependencies=[_APPROVERS, _KEY],
    **acts(PayoutView, "Reject a payout"),
    openapi_extra=body_of(RefusePayout),
)
async def reject_payout(
    request: Request, payout_id: str, body: Annotated[RefusePayout, Depends(_RefuseBody)]
) -> Response:
    """Reject a payout that awaits approval; its money is available again."""
    return await _review(request, payout_id, PayoutReviewDecision.REJECT, body.reason)


@router.post(
    "/v1/payouts/{payout_id}/cancel",
    dependencies=[_WRITERS, _KEY],
    **acts(PayoutView, "Cancel a payout"),
    openapi_extra=body_of(RefusePayout),
)
async def cancel_payout(
    request: Request, payout_id: str, body: Annotated[RefusePayout, Depends(_RefuseBody)]
) -> Response:
    """Take a payout back, before it was sent or where the provider still can."""
    return await _review(request, payout_id, PayoutReviewDecision.CANCEL, body.reason)


async def _review(
    request: Request, payout_id: str, decision: PayoutReviewDecision, reason: str | None
) -> Response:
    parts, caller = parts_of(request), caller_of(request)
    payout = await row_of(request, IdPrefix.PAYOUT, payout_id, Payout)
    if payout is None:
        raise Problem("not_found")
    claim = claim_for(request, merchant_id=payout.merchant_id)
    review = PayoutReview(decision=decision, actor=caller.subject, reason=reason)

    async def perform(_: Held) -> Answer:
        return await _reviewed(request, payout_id, review, key=f"review-{claim.id.hex()}")

    return await parts.idempotency.once(claim, perform)


async def _reviewed(request: Request, payout_id: str, review: PayoutReview, key: str) -> Answer:
    request_id: str = request.state.request_id
    try:
        reviewed = await parts_of(request).sagas.update(
            f"payout/{payout_id}", "review", review, key=key, answer=PayoutReviewed
        )
    except UpdateRefused:
        return answers.of_problem(Problem("payout_not_reviewable"), request_id)
    except StillOpen:
        under_way = await _present(request, payout_id)
        return Answer(202, under_way.model_dump_json(), f"/v1/payouts/{payout_id}")
    if reviewed.refusal is not None:
        return answers.of_problem(of_refusal(reviewed.refusal), request_id)
    view = reviewed.payout
    if view is None:
        view = await _present(request, payout_id)
    return Answer(200, view.model_dump_json(), f"/v1/payouts/{payout_id}")


async def _present(request: Request, payout_id: str) -> PayoutView:
    row = await row_of(request, IdPrefix.PAYOUT, payout_id, Payout)
    if row is None:
        raise Problem("not_found")
    return payout_view(row)
