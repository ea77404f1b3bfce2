"""Reconciliations of providers' settlement reports, and the breaks that they found."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response
from temporalio.service import RPCError

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.idempotency import Held, claim_for, require_key
from api.openapi import acts, body_of, creates, reads
from api.operations import wait_of
from api.pages import Page, PageQuery, json_response, page
from api.parts import parts_of
from api.problems import RETRY_SOON, Problem, of_refusal
from api.requests import AssignBreak, CreateReconciliation, ResolveBreak
from recompense.contracts.reconciliation import (
    BreakAction,
    BreakKind,
    BreakView,
    ReconcileInput,
    ReconciliationStatus,
    ReconciliationView,
)
from recompense.contracts.repairs import REPAIR_UPDATE, RepairInput, RepairWord
from recompense.contracts.sagas import Refusal
from recompense.contracts.scopes import Scope
from recompense.contracts.starting import repair_start
from recompense.desk import reconciliations
from recompense.domain.failures import Refused
from recompense.domain.ids import IdPrefix, is_id, new_id
from recompense.persistence import breaks, reconciling
from recompense.persistence.claims import ACCEPTED, StoredClaim
from recompense.persistence.settlement_tables import Break, Reconciliation
from recompense.persistence.settlement_views import break_view, reconciliation_view

router = APIRouter(tags=["reconciliation"])

_READERS = allows(Scope.LEDGER_READ)
_WRITERS = allows(Scope.OPS_WRITE)
_KEY = Depends(require_key)
_CreateBody = JsonBody(CreateReconciliation)
_ResolveBody = JsonBody(ResolveBreak)
_AssignBody = JsonBody(AssignBreak)
_PATIENCE_SECONDS = 2.5
_TRIES = 3


class ReconciliationQuery(PageQuery):
    """Which reconciliations."""

    status: ReconciliationStatus | None = None
    provider: str | None = Field(default=None, max_length=40, pattern=r"^[a-z0-9_-]+$")


class BreakQuery(PageQuery):
    """Which breaks."""

    status: Literal["open", "resolved"] | None = None
    kind: BreakKind | None = None
    provider: str | None = Field(default=None, max_length=40, pattern=r"^[a-z0-9_-]+$")
    assignee: str | None = Field(default=None, max_length=200, pattern=r"^[^\x00]+$")


@router.post(
    "/v1/reconciliations",
    dependencies=[_WRITERS, _KEY],
    **creates(ReconciliationView, "Reconcile a provider's report"),
    openapi_extra=body_of(CreateReconciliation, waits=True),
)
async def create_reconciliation(
    request: Request, body: Annotated[CreateReconciliation, Depends(_CreateBody)]
) -> Response:
    """Fetch the report of a date and compare it with the books. The same date again finds nothing
    new.
    """
    _refuse_bound(request)
    if body.provider not in parts_of(request).providers:
        raise Problem("provider_not_found")
    claim = claim_for(request, resource_id=new_id(IdPrefix.RECONCILIATION))

    async def perform(held: Held) -> Answer:
        chosen = held.earlier.resource_id if held.earlier else claim.resource_id
        return await _reconciled(request, str(chosen), body.provider, body.date)

    return await parts_of(request).idempotency.once(claim, perform)


@router.get(
    "/v1/reconciliations",
    dependencies=[_READERS],
    **reads(Page[ReconciliationView], "List reconciliations"),
)
async def list_reconciliations(
    request: Request, query: Annotated[ReconciliationQuery, Query()]
) -> Response:
    """The newest first."""
    if caller_of(request).merchant_id is not None:
        return page([], query.limit, reconciliation_view, lambda row: row.id)
    async with parts_of(request).database.transaction() as session:
        found = await reconciling.listed(
            session,
            provider=query.provider,
            status=query.status,
            before=query.after,
            limit=query.limit,
        )
    return page(found, query.limit, reconciliation_view, lambda row: row.id)


@router.get(
    "/v1/reconciliations/{reconciliation_id}",
    dependencies=[_READERS],
    **reads(ReconciliationView, "Read a reconciliation"),
)
async def read_reconciliation(request: Request, reconciliation_id: str) -> Response:
    """A reconciliation as it is now."""
    return json_response(await _reconciliation(request, reconciliation_id))


@router.get("/v1/breaks", dependencies=[_READERS], **reads(Page[BreakView], "List breaks"))
async def list_breaks(request: Request, query: Annotated[BreakQuery, Query()]) -> Response:
    """The newest first; `status=open` is what finance has to look at."""
    if caller_of(request).merchant_id is not None:
        return page([], query.limit, break_view, lambda row: row.id)
    async with parts_of(request).database.transaction() as session:
        found = await breaks.listed(
            session,
            status=query.status,
            kind=query.kind,
            provider=query.provider,
            before=query.after,
            limit=query.limit,
            assignee=query.assignee,
        )
    return page(found, query.limit, break_view, lambda row: row.id)


@router.get("/v1/breaks/{break_id}", dependencies=[_READERS], **reads(BreakView, "Read a break"))
async def read_break(request: Request, break_id: str) -> Response:
    """A break as it is now."""
    return json_response(break_view(await _break(request, break_id)))


@router.post(
    "/v1/breaks/{break_id}/resolve",
    dependencies=[_WRITERS, _KEY],
    **acts(BreakView, "Resolve a break"),
    openapi_extra=body_of(ResolveBreak, waits=True),
)
async def resolve_break(
    request: Request, break_id: str, body: Annotated[ResolveBreak, Depends(_ResolveBody)]
) -> Response:
    """Repair a break, by an action that fits its kind. Recorded with who and why.

    202 while it waits: a write-off above the platform's threshold for a second person who asks for
    it too, a state that differs for the provider's word. Until then another action takes its place.
    """
    _refuse_bound(request)
    await _break(request, break_id)
    claim = claim_for(request)
    word = RepairWord(
        key=f"repair-{claim.id.hex()}",
        action=BreakAction(body.action),
        actor=caller_of(request).subject,
        reason=body.reason,
    )

    async def perform(held: Held) -> Answer:
        row = await _break(request, break_id)
        if held.earlier is not None and _has_been_taken(row, word, held.earlier):
            return _answer(break_view(row))
        return await _repaired(request, row, word)

    return await parts_of(request).idempotency.once(claim, perform)


@router.post(
    "/v1/breaks/{break_id}/assign",
    dependencies=[_WRITERS, _KEY],
    **acts(BreakView, "Assign a break"),
    openapi_extra=body_of(AssignBreak),
)
async def assign_break(
    request: Request, break_id: str, body: Annotated[AssignBreak, Depends(_AssignBody)]
) -> Response:
    """Say who looks into an open break, or that nobody does. Recorded with who said so."""
    _refuse_bound(request)
    await _break(request, break_id)

    async def perform(_: Held) -> Answer:
        return await _assigned(request, break_id, body.assignee)

    return await parts_of(request).idempotency.once(claim_for(request), perform)


async def _assigned(request: Request, break_id: str, assignee: str | None) -> Answer:
    actor = caller_of(request).subject
    try:
        async with parts_of(request).database.transaction() as session:
            row = await breaks.assign(session, break_id, assignee, actor=actor)
    except Refused as refused:
        return _refused(request, Refusal(code=refused.code, message=refused.message))
    if row is None:
        raise Problem("not_found")
    return Answer(200, break_view(row).model_dump_json(), f"/v1/breaks/{row.id}")


async def _reconciled(
    request: Request, reconciliation_id: str, provider: str, report_date: date
) -> Answer:
    parts = parts_of(request)
    given = await reconciliations.begin(
        parts.database,
        reconciliation_id,
        provider=provider,
        report_date=report_date,
        requested_by=caller_of(request).subject,
    )
    await _started(request, given)
    await parts.sagas.ended(given.workflow_id, None, wait_of(request))
    view = await _reconciliation(request, reconciliation_id)
    known = view.status is not ReconciliationStatus.RUNNING
    location = f"/v1/reconciliations/{reconciliation_id}"
    return Answer(201 if known else 202, view.model_dump_json(), location)


async def _started(request: Request, given: ReconcileInput) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await reconciliations.start(parts_of(request).temporal, given)
    except (RPCError, TimeoutError, RuntimeError) as error:
        raise Problem("temporal_unavailable", headers=RETRY_SOON) from error


async def _repaired(request: Request, row: Break, word: RepairWord) -> Answer:
    """Have the repair take a word. A word that is not known to be taken is no answer: 503."""
    try:
        breaks.require_open(row)
    except Refused as refused:
        return _refused(request, Refusal(code=refused.code, message=refused.message))
    repair = RepairInput(break_id=row.id, provider=row.provider, kind=BreakKind(row.kind))
    start = repair_start(repair, request_id=request.state.request_id)
    seconds = max(wait_of(request), _PATIENCE_SECONDS)
    for _ in range(_TRIES):
        said = await parts_of(request).sagas.ask(
            start, REPAIR_UPDATE, word, key=word.key, seconds=seconds
        )
        if said is not None and said.refusal is not None:
            return _refused(request, said.refusal)
        if said is not None and said.shown is not None:
            return _answer(said.shown)
        row = await _break(request, row.id)
        if _stands(row, word):
            return _answer(break_view(row))
        # A run that was about to end has not taken it: another one does.
        seconds = _PATIENCE_SECONDS
    raise Problem("temporal_unavailable", headers=RETRY_SOON)


def _refused(request: Request, refusal: Refusal) -> Answer:
    return answers.of_problem(of_refusal(refusal), request.state.request_id)


def _stands(row: Break, word: RepairWord) -> bool:
    """Whether this very word is carried out, or was."""
    return row.repair is not None and row.repair["word"]["key"] == word.key


def _has_been_taken(row: Break, word: RepairWord, earlier: StoredClaim) -> bool:
    """Whether an earlier request with this key has brought its word, and nothing is left to do.

    It may have been done and its answer lost, or wait: the same request once more is no second
    person. What was answered with 202 and was taken back since is not asked for again.
    """
    taken_back = earlier.status == ACCEPTED and not _stands(row, word)
    return taken_back or _is_by(row, word)


def _is_by(row: Break, word: RepairWord) -> bool:
    """Whether this person has resolved the break so, or has asked for its write-off."""
    if row.resolution is None:
        return row.write_off_asked_by == word.actor and word.action is BreakAction.WRITE_OFF
    people = (row.resolution["actor"], row.resolution.get("approved_by"))
    return bool(row.resolution["action"] == word.action and word.actor in people)


def _answer(shown: BreakView) -> Answer:
    done = shown.status == "resolved"
    return Answer(200 if done else 202, shown.model_dump_json(), f"/v1/breaks/{shown.id}")


async def _reconciliation(request: Request, reconciliation_id: str) -> ReconciliationView:
    _require_id(request, IdPrefix.RECONCILIATION, reconciliation_id)
    async with parts_of(request).database.transaction() as session:
        row = await session.get(Reconciliation, reconciliation_id)
    if row is None:
        raise Problem("not_found")
    return reconciliation_view(row)


async def _break(request: Request, break_id: str) -> Break:
    _require_id(request, IdPrefix.BREAK, break_id)
    async with parts_of(request).database.transaction() as session:
        row = await session.get(Break, break_id)
    if row is None:
        raise Problem("not_found")
    return row


def _require_id(request: Request, prefix: IdPrefix, resource_id: str) -> None:
    """What is nobody's is not there for a caller who is bound to one merchant."""
    if caller_of(request).merchant_id is not None or not is_id(prefix, resource_id):
        raise Problem("not_found")


def _refuse_bound(request: Request) -> None:
    if caller_of(request).merchant_id is not None:
        raise Problem("merchant_bound")
