"""From a request to a payout run and back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from fastapi import Request
from pydantic import AwareDatetime, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from api import answers
from api.access import caller_of
from api.answers import Answer
from api.callers import Caller
from api.idempotency import Held
from api.pages import PageQuery
from api.parts import Parts, parts_of
from api.problems import Problem, of_refusal
from recompense.contracts.payout_runs import RUN_NAME_PATTERN, PayoutRunInput
from recompense.contracts.starting import payout_run_start
from recompense.contracts.views import PayoutRunView
from recompense.domain.ids import IdPrefix, is_id
from recompense.domain.states import PayoutRunStatus
from recompense.persistence import payout_run_reads as rows
from recompense.persistence import payout_runs
from recompense.persistence.claims import Claims
from recompense.persistence.payout_run_reads import RunFilters
from recompense.persistence.run_tables import PayoutRunRow


class RunQuery(PageQuery):
    """Which page of the runs, and what it is narrowed to."""

    status: str | None = Field(default=None, max_length=40, pattern=r"^[a-z_]+$")
    name: str | None = Field(default=None, pattern=RUN_NAME_PATTERN)
    business_date: date | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    def filters(self) -> RunFilters:
        """The list's filters. Raises `Problem` 422 for a cursor that no page gave out."""
        return RunFilters(
            limit=self.limit,
            before_id=self.after,
            status=self.status,
            name=self.name,
            business_date=self.business_date,
            created_after=self.created_after,
            created_before=self.created_before,
        )


def merchants_see_none(caller: Caller) -> None:
    """Raises `Problem` for a caller who is bound to a merchant: runs pay many."""
    if caller.merchant_id is not None:
        raise Problem("merchant_bound", "A payout run pays many merchants.")


def run_of(row: PayoutRunRow) -> PayoutRunInput:
    """The input that carries a run on whose row is there."""
    return PayoutRunInput.model_validate(row.carried_on())


async def visible_run(request: Request, run_id: str) -> PayoutRunView:
    """A run that the caller may see: by its row, or by its claim until it has one.

    Raises `Problem` 404.
    """
    if caller_of(request).merchant_id is not None or not is_id(IdPrefix.PAYOUT_RUN, run_id):
        raise Problem("not_found")
    parts = parts_of(request)
    async with parts.database.transaction() as session:
        view = await rows.find(session, run_id)
    if view is not None:
        return view
    claim = await Claims(parts.database).of_resource(run_id)
    if claim is None or claim.saga_input is None:
        raise Problem("not_found")
    return _unstarted(PayoutRunInput.model_validate(claim.saga_input), claim.created_at)


async def started_run(session: AsyncSession, run_id: str, *, unstarted: str) -> PayoutRunRow:
    """Lock the row of a run that a request acts on.

    Raises the conflict `unstarted` while its workflow has not run its first step.
    """
    if await rows.find(session, run_id) is None:
        raise Problem(unstarted, "The run has not begun yet.")
    return await payout_runs.locked(session, run_id)


@dataclass(frozen=True)
class RunStart:
    """One request for a run."""

    parts: Parts
    request_id: str
    wait_seconds: float
    chosen: PayoutRunInput

    async def perform(self, held: Held) -> Answer:
        """Start the run or attach to it. A run that somebody else made is a conflict."""
        run, made_at = self.chosen, datetime.now(UTC)
        if held.earlier is not None:
            # The id of the first request counts, whatever this one has chosen.
            run = run.model_copy(update={"run_id": held.earlier.resource_id})
            made_at = held.earlier.created_at
        present = await self._present(run)
        if present is not None and present.status is not PayoutRunStatus.BUILDING:
            return self._of_view(run, present)
        start = payout_run_start(run, request_id=self.request_id)
        decision = await self.parts.sagas.decide(start, self.wait_seconds)
        if decision is not None and decision.refusal is not None:
            return answers.of_problem(of_refusal(decision.refusal), self.request_id)
        if decision is not None and decision.run is not None:
            return self._of_view(run, decision.run)
        return self._of_view(run, await self._present(run) or _unstarted(run, made_at))

    async def _present(self, run: PayoutRunInput) -> PayoutRunView | None:
        async with self.parts.database.transaction() as session:
            row = await rows.excluding(session, run.name, run.business_date, run.currency)
            return None if row is None else await rows.view(session, row)

    def _of_view(self, run: PayoutRunInput, view: PayoutRunView) -> Answer:
        if view.id != run.run_id:
            problem = Problem("payout_run_exists", members={"payout_run_id": view.id})
            return answers.of_problem(problem, self.request_id)
        known = view.status is not PayoutRunStatus.BUILDING
        return Answer(201 if known else 202, view.model_dump_json(), f"/v1/payout-runs/{view.id}")


def _unstarted(run: PayoutRunInput, made_at: datetime) -> PayoutRunView:
    return PayoutRunView(
        id=str(run.run_id),
        name=run.name,
        business_date=run.business_date,
        currency=run.currency,
        status=PayoutRunStatus.BUILDING,
        items_count=0,
        amount_total={},
        paid_count=0,
        failed_count=0,
        amount_paid={},
        created_by=run.requested_by,
        reviewed_by=None,
        created_at=made_at,
        updated_at=made_at,
    )
