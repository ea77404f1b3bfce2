"""Refunds of a payment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.access import allows, caller_of
from api.bodies import JsonBody
from api.finding import payment_of, show, unstarted_resource
from api.idempotency import require_key
from api.openapi import body_of, creates, reads
from api.operations import carry
from api.pages import ListOf, Page, page
from api.parts import parts_of
from api.requests import CreateRefund
from recompense.contracts.sagas import RefundInput
from recompense.contracts.scopes import Scope
from recompense.contracts.views import RefundView
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import reads as rows
from recompense.persistence.tables import Payment, Refund
from recompense.persistence.views import refund_view

router = APIRouter(tags=["refunds"])

_READERS = allows(Scope.PAYMENTS_READ)
_Body = JsonBody(CreateRefund, optional=True)


@router.post(
    "/v1/payments/{payment_id}/refunds",
    dependencies=[allows(Scope.REFUNDS_WRITE), Depends(require_key)],
    **creates(RefundView, "Refund a payment"),
    openapi_extra=body_of(CreateRefund, optional=True, waits=True),
)
async def create_refund(
    request: Request, payment_id: str, body: Annotated[CreateRefund, Depends(_Body)]
) -> Response:
    """Refund an amount of what was captured, by default all that is refundable.

    A refund that the provider declines is 201 with `status: failed`.
    """
    payment = await payment_of(request, payment_id, unstarted="payment_not_refundable")
    saga = RefundInput(
        refund_id=new_id(IdPrefix.REFUND),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=body.amount,
        reason=body.reason,
        requested_by=caller_of(request).subject,
    )
    return await carry(request, saga)


@router.get(
    "/v1/payments/{payment_id}/refunds",
    dependencies=[_READERS],
    **reads(Page[RefundView], "List a payment's refunds"),
)
async def list_refunds(request: Request, payment_id: str, query: ListOf) -> Response:
    """The newest refunds first."""
    await unstarted_resource(request, IdPrefix.PAYMENT, payment_id, Payment)
    async with parts_of(request).database.transaction() as session:
        filters = query.filters(caller_of(request), payment_id)
        found = await rows.listed(session, Refund, filters)
    return page(found, query.limit, refund_view, lambda row: row.id)


@router.get(
    "/v1/refunds/{refund_id}", dependencies=[_READERS], **reads(RefundView, "Read a refund")
)
async def read_refund(request: Request, refund_id: str) -> Response:
    """A refund as it is now."""
    return await show(request, IdPrefix.REFUND, refund_id, Refund, refund_view)
