"""Payout runs: made now or by a schedule, read with their counts, reviewed by a second person."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.idempotency import Held, claim_for, require_key
from api.openapi import acts, body_of, creates, reads
from api.operations import wait_of
from api.pages import Page, PageOf, json_response, page
from api.parts import parts_of
from api.payout_runs import (
    RunQuery,
    RunStart,
    merchants_see_none,
    run_of,
    started_run,
    visible_run,
)
from api.problems import Problem, of_refusal
from api.requests import ApprovePayoutRun, CreatePayoutRun, RefusePayoutRun, ResumePayoutRun
from api.sagas import StillOpen, UpdateRefused
from recompense.contracts.payout_runs import PayoutRunInput, RunReview, RunReviewed
from recompense.contracts.scopes import Scope
from recompense.contracts.starting import payout_run_start
from recompense.contracts.views import PayoutRunItemView, PayoutRunView
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import payout_run_reads as rows
from recompense.persistence import payout_runs

router = APIRouter(tags=["payout runs"])

_READERS = allows(Scope.PAYOUTS_READ)
_WRITERS = allows(Scope.PAYOUTS_WRITE)
_APPROVERS = allows(Scope.PAYOUTS_APPROVE)
_KEY = Depends(require_key)
_CreateBody = JsonBody(CreatePayoutRun)
_ApproveBody = JsonBody(ApprovePayoutRun, optional=True)
_RefuseBody = JsonBody(RefusePayoutRun)
_ResumeBody = JsonBody(ResumePayoutRun)


@router.post(
    "/v1/payout-runs",
    dependencies=[_WRITERS, _KEY],
    **creates(PayoutRunView, "Run payouts"),
    openapi_extra=body_of(CreatePayoutRun, waits=True),
)
async def create_payout_run(
    request: Request, body: Annotated[CreatePayoutRun, Depends(_CreateBody)]
) -> Response:
    """Pay out to every merchant whose schedule has this name and whose available balance reaches
    the minimum. One run for each name, business date and currency, whoever starts it.
    """
    caller = caller_of(request)
    merchants_see_none(caller)
    run = PayoutRunInput(
        name=body.name,
        business_date=body.business_date,
        currency=body.currency,
        run_id=new_id(IdPrefix.PAYOUT_RUN),
        requested_by=caller.subject,
    )
    start = RunStart(parts_of(request), request.state.request_id, wait_of(request), run)
    claim = claim_for(request, resource_id=run.run_id, saga=run)
    return await parts_of(request).idempotency.once(claim, start.perform)


@router.get(
    "/v1/payout-runs", dependencies=[_READERS], **reads(Page[PayoutRunView], "List payout runs")
)
async def list_payout_runs(request: Request, query: Annotated[RunQuery, Query()]) -> Response:
    """The newest payout runs first. They are the platform's: a merchant sees none."""
    if caller_of(request).merchant_id is not None:
        return json_response(Page[PayoutRunView](data=[], next_cursor=None))
    async with parts_of(request).database.transaction() as session:
        found = await rows.listed(session, query.filters())
    return page(found, query.limit, lambda view: view, lambda view: view.id)


@router.get(
    "/v1/payout-runs/{run_id}", dependencies=[_READERS], **reads(PayoutRunView, "Read a payout run")
)
async def read_payout_run(request: Request, run_id: str) -> Response:
    """A payout run as it is now. Its counts follow the payouts, after its end too."""
    return json_response(await visible_run(request, run_id))


@router.get(
    "/v1/payout-runs/{run_id}/items",
    dependencies=[_READERS],
    **reads(Page[PayoutRunItemView], "List a payout run's items"),
)
async def list_items(request: Request, run_id: str, query: PageOf) -> Response:
    """What the run pays to whom, and where each payout stands."""
    await visible_run(request, run_id)
    async with parts_of(request).database.transaction() as session:
        found = await rows.items(session, run_id, limit=query.limit, before_id=query.after)
    return page(found, query.limit, lambda view: view, lambda view: view.id)


@router.post(
    "/v1/payout-runs/{run_id}/approve",
    dependencies=[_APPROVERS, _KEY],
    **acts(PayoutRunView, "Approve a payout run"),
    openapi_extra=body_of(ApprovePayoutRun, optional=True),
)
async def approve_payout_run(
    request: Request, run_id: str, body: Annotated[ApprovePayoutRun, Depends(_ApproveBody)]
) -> Response:
    """Approve all items of a run. Who made it cannot: 403 `four_eyes`; a schedule is nobody."""
    return await _review(request, run_id, "approve", body.reason)


@router.post(
    "/v1/payout-runs/{run_id}/reject",
    dependencies=[_APPROVERS, _KEY],
    **acts(PayoutRunView, "Reject a payout run"),
    openapi_extra=body_of(RefusePayoutRun),
)
async def reject_payout_run(
    request: Request, run_id: str, body: Annotated[RefusePayoutRun, Depends(_RefuseBody)]
) -> Response:
    """Reject a run: nothing of it is paid, and its money waits for the next one."""
    return await _review(request, run_id, "reject", body.reason)


@router.post(
    "/v1/payout-runs/{run_id}/resume",
    dependencies=[_WRITERS, _KEY],
    **acts(PayoutRunView, "Resume a payout run"),
    openapi_extra=body_of(ResumePayoutRun),
)
async def resume_payout_run(
    request: Request, run_id: str, body: Annotated[ResumePayoutRun, Depends(_ResumeBody)]
) -> Response:
    """Pay the failed items of a run that has ended; none of the others is paid again.

    A run that has not ended is carried on where nobody works on it any more.
    """
    parts, caller = parts_of(request), caller_of(request)
    merchants_see_none(caller)
    await visible_run(request, run_id)

    claim = claim_for(request)

    async def perform(_: Held) -> Answer:
        async with parts.database.transaction() as session:
            row = await started_run(session, run_id, unstarted="payout_run_nothing_to_resume")
            resumed = await payout_runs.resume(
                session, row, key=claim.id.hex(), actor=caller.subject, reason=body.reason
            )
            if not resumed:
                return answers.of_problem(
                    Problem("payout_run_nothing_to_resume"), request.state.request_id
                )
            await session.flush()
            run, view = run_of(row), await rows.view(session, row)
        await parts.sagas.again(payout_run_start(run, request_id=request.state.request_id))
        return Answer(200, view.model_dump_json(), f"/v1/payout-runs/{run_id}")

    return await parts.idempotency.once(claim, perform)


async def _review(
    request: Request, run_id: str, decision: Literal["approve", "reject"], reason: str | None
) -> Response:
    parts, caller = parts_of(request), caller_of(request)
    merchants_see_none(caller)
    await visible_run(request, run_id)
    claim = claim_for(request)
    review = RunReview(decision=decision, actor=caller.subject, reason=reason)

    async def perform(_: Held) -> Answer:
        return await _reviewed(request, run_id, review, key=f"review-{claim.id.hex()}")

    return await parts.idempotency.once(claim, perform)


async def _reviewed(request: Request, run_id: str, review: RunReview, key: str) -> Answer:
    location, request_id = f"/v1/payout-runs/{run_id}", request.state.request_id
    parts = parts_of(request)
    async with parts.database.transaction() as session:
        row = await started_run(session, run_id, unstarted="payout_run_not_awaiting_approval")
        run = run_of(row)
    try:
        reviewed = await parts.sagas.update(
            run.workflow_id, "review", review, key=key, answer=RunReviewed
        )
    except UpdateRefused:
        return answers.of_problem(Problem("payout_run_not_awaiting_approval"), request_id)
    except StillOpen:
        return Answer(202, (await visible_run(request, run_id)).model_dump_json(), location)
    if reviewed.refusal is not None:
        return answers.of_problem(of_refusal(reviewed.refusal), request_id)
    view = reviewed.run or await visible_run(request, run_id)
    return Answer(200, view.model_dump_json(), location)
