"""What on-call people need of sagas: what is red or waits, one saga's steps, an answer to it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.idempotency import Held, claim_for, require_key
from api.openapi import acts, body_of, reads
from api.operations import wait_of
from api.pages import Page, PageQuery, cursor_of, json_response
from api.parts import parts_of
from api.problems import RETRY_SOON, Problem, invalid
from api.requests import ReplaySaga, ResolveSaga
from recompense.contracts.sagas import Resolution, ResolveDecision
from recompense.contracts.scopes import Scope
from recompense.desk import SagaDesk, SagaDetail, SagaRow, TemporalSilent, UnknownSaga
from recompense.desk.models import ShownState
from recompense.desk.replay import ReplayReport, replay
from recompense.domain.failures import Refused

router = APIRouter(tags=["ops"])

_READERS = allows(Scope.OPS_READ)
_ResolveBody = JsonBody(ResolveSaga)
_ReplayBody = JsonBody(ReplaySaga)


class SagaQuery(PageQuery):
    """Which sagas."""

    state: ShownState | None = None
    payment_id: str | None = Field(default=None, max_length=64, pattern=r"^[!-~]+$")


class ReplayedSaga(SagaDetail):
    """A saga after its replay (as it stands, when that was a dry run), and what the replay does."""

    replay: ReplayReport


@router.get("/v1/ops/sagas", dependencies=[_READERS], **reads(Page[SagaRow], "List sagas"))
async def list_sagas(request: Request, query: Annotated[SagaQuery, Query()]) -> Response:
    """The newest first; `state=failed` and `state=parked` are what needs a person."""
    try:
        found = await desk_of(request).page(
            query.state,
            payment_id=query.payment_id,
            merchant_id=caller_of(request).merchant_id,
            limit=query.limit,
            cursor=query.after,
        )
    except UnknownSaga:
        raise invalid("cursor", "invalid_cursor", "was not given out by this list") from None
    except TemporalSilent as silent:
        raise Problem("temporal_unavailable", headers=RETRY_SOON) from silent
    more = cursor_of(found.next_cursor) if found.next_cursor else None
    return json_response(Page[SagaRow](data=list(found.data), next_cursor=more))


@router.post(
    "/v1/ops/sagas/{workflow_id:path}/resolve",
    dependencies=[allows(Scope.OPS_WRITE), Depends(require_key)],
    **acts(SagaDetail, "Answer a parked saga"),
    openapi_extra=body_of(ResolveSaga),
)
async def resolve_saga(
    request: Request, workflow_id: str, body: Annotated[ResolveSaga, Depends(_ResolveBody)]
) -> Response:
    """Say what is true at the provider, or have it tried again. Recorded with who and why."""
    saga = await saga_of(request, workflow_id)
    claim = claim_for(request, merchant_id=saga.merchant_id)
    resolution = Resolution(
        decision=ResolveDecision(body.decision),
        actor=caller_of(request).subject,
        reason=body.reason,
        provider_reference=body.provider_reference,
    )

    async def perform(_: Held) -> Answer:
        update_id = f"resolve-{claim.id.hex()}"
        return await _resolve(request, saga.workflow_id, resolution, update_id)

    return await parts_of(request).idempotency.once(claim, perform)


@router.post(
    "/v1/ops/sagas/{workflow_id:path}/replay",
    dependencies=[allows(Scope.OPS_WRITE)],
    **acts(ReplayedSaga, "Carry a failed saga on"),
    openapi_extra=body_of(ReplaySaga, needs_key=False, waits=True),
)
async def replay_saga(
    request: Request, workflow_id: str, body: Annotated[ReplaySaga, Depends(_ReplayBody)]
) -> Response:
    """Carry a failed saga to its end, once. One that has reached it changes nothing.

    A dry run says which effects stand and which would be made; it needs no key.
    """
    if not body.dry_run:
        await require_key(request)
    saga = await saga_of(request, workflow_id)
    if body.dry_run:
        return (await _replay(request, saga.workflow_id, body)).response()
    claim = claim_for(request, merchant_id=saga.merchant_id)

    async def perform(_: Held) -> Answer:
        return await _replay(request, saga.workflow_id, body, key=f"replay-{claim.id.hex()}")

    return await parts_of(request).idempotency.once(claim, perform)


@router.get(
    "/v1/ops/sagas/{workflow_id:path}",
    dependencies=[_READERS],
    **reads(SagaDetail, "Read one saga with its steps"),
)
async def read_saga(request: Request, workflow_id: str) -> Response:
    """One saga: `/` of its workflow id as `%2F`."""
    return json_response(await saga_of(request, workflow_id))


def desk_of(request: Request) -> SagaDesk:
    """The desk at which sagas are watched."""
    parts = parts_of(request)
    return SagaDesk(parts.database, parts.temporal, ui_url=parts.options.temporal_ui_url)


async def saga_of(request: Request, workflow_id: str) -> SagaDetail:
    """A saga that the caller may see. Raises `Problem` 404 or 503."""
    if not workflow_id.isprintable():
        raise Problem("not_found")
    try:
        found = await desk_of(request).show(workflow_id)
    except UnknownSaga:
        raise Problem("not_found", "There is no such saga.") from None
    except TemporalSilent as silent:
        raise Problem("temporal_unavailable", headers=RETRY_SOON) from silent
    if not caller_of(request).may_see(found.merchant_id):
        raise Problem("not_found", "There is no such saga.")
    return found


async def _replay(
    request: Request, workflow_id: str, body: ReplaySaga, *, key: str | None = None
) -> Answer:
    parts = parts_of(request)
    try:
        report = await replay(
            parts.temporal,
            parts.database,
            workflow_id,
            actor=caller_of(request).subject,
            reason=body.reason,
            dry_run=body.dry_run,
            key=key,
        )
    except Refused as refused:
        problem = Problem(refused.code, refused.message)
        return answers.of_problem(problem, request.state.request_id)
    except (TemporalSilent, TimeoutError) as silent:
        raise Problem("temporal_unavailable", headers=RETRY_SOON) from silent
    if report.to_run is None:
        ended = True
    else:
        ended = await parts.sagas.ended(report.workflow_id, report.to_run, wait_of(request))
    saga = await saga_of(request, workflow_id)
    under_way = report.changed and _is_open(saga, report.attempt, ended=ended)
    replayed = ReplayedSaga(**saga.model_dump(), replay=report)
    return Answer(202 if under_way else 200, replayed.model_dump_json(), _location(workflow_id))


def _is_open(saga: SagaDetail, attempt: int, *, ended: bool) -> bool:
    """Whether an attempt runs, or has still to be opened by its run, which has not `ended`."""
    if saga.attempt == attempt:
        return saga.state is ShownState.RUNNING
    return saga.attempt < attempt and not ended


def _location(workflow_id: str) -> str:
    return f"/v1/ops/sagas/{quote(workflow_id, safe='')}"


async def _resolve(
    request: Request, workflow_id: str, resolution: Resolution, update_id: str
) -> Answer:
    try:
        resolved = await desk_of(request).resolve(workflow_id, resolution, update_id=update_id)
    except Refused as refused:
        problem = Problem(refused.code, refused.message)
        return answers.of_problem(problem, request.state.request_id)
    except (TemporalSilent, TimeoutError) as silent:
        raise Problem("temporal_unavailable", headers=RETRY_SOON) from silent
    return Answer(200, resolved.model_dump_json(), _location(workflow_id))
