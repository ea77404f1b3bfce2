"""A database with merchants and the real steps of payout runs, each called as a worker does."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any, Literal, cast
from uuid import uuid4

from sqlalchemy import text

from activities.payout_runs import PayoutRunActivities
from activities.toolbox import PayoutRunTools, Toolbox
from recompense.contracts.payout_runs import (
    AdvanceRun,
    PayoutRunInput,
    ReviewRun,
    RunAdvanced,
    RunRef,
    RunReview,
    RunReviewed,
)
from recompense.domain.calendar import EVERY_DAY, BusinessCalendar
from recompense.domain.payout_dates import Clock
from recompense.persistence import payout_run_reads
from recompense.persistence.database import Database
from tests.support.payout_runs import merchant_with

DAY = date(2026, 11, 27)
MAKER, CHECKER = "maker", "checker"


class Scene:
    """The activities of payout runs on a database of the test's own."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def steps(self, calendar: str = EVERY_DAY, *, approval: bool = True) -> PayoutRunActivities:
        """The real activities, with this calendar."""
        clock = Clock(BusinessCalendar(calendar), "Europe/Berlin")
        runs = PayoutRunTools(self.database, clock, approval)
        return PayoutRunActivities(cast(Toolbox, SimpleNamespace(payout_runs=runs)))

    async def built(self, *, approval: bool = True, calendar: str = EVERY_DAY, **run: Any) -> str:
        """Open and freeze a run. Returns its id."""
        steps = self.steps(calendar, approval=approval)
        opened = await steps.open(run_input(**run))
        assert opened.run is not None, opened.refusal
        while not (await steps.freeze(RunRef(run_id=opened.run.id))).done:
            """The next page."""
        return opened.run.id

    async def review(
        self,
        run_id: str,
        decision: Literal["approve", "reject"] = "approve",
        *,
        actor: str = CHECKER,
        key: str | None = None,
    ) -> RunReviewed:
        """A person's word."""
        review = RunReview(decision=decision, actor=actor)
        return await self.steps().review(
            ReviewRun(run_id=run_id, key=key or uuid4().hex, review=review)
        )

    async def running(self, **run: Any) -> str:
        """A run that may pay."""
        run_id = await self.built(**run)
        assert (await self.review(run_id)).refusal is None
        return run_id

    async def advance(self, run_id: str, **values: Any) -> RunAdvanced:
        """One round of the workflow's."""
        return await self.steps().advance(
            AdvanceRun(run_id=run_id, at_once=values.pop("at_once", 20), **values)
        )

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """Read or write by hand."""
        async with self.database.engine.begin() as connection:
            done = await connection.execute(text(statement), values)
            return list(done.mappings()) if done.returns_rows else []

    async def view(self, run_id: str) -> Any:
        """The run as callers see it."""
        async with self.database.transaction() as session:
            return await payout_run_reads.find(session, run_id)

    async def items(self, run_id: str) -> dict[tuple[str, str], Any]:
        """Its items, by merchant and currency."""
        async with self.database.transaction() as session:
            found = await payout_run_reads.items(session, run_id, limit=100)
        return {(item.merchant_id, item.currency): item for item in found}

    async def payout(self, payout_id: str, status: str, *, attention: bool = False) -> None:
        """What an item's saga would have written."""
        await self.rows(
            "INSERT INTO payouts (id, merchant_id, amount, currency, status, destination_token,"
            " provider, requested_by, needs_attention)"
            " SELECT payout_id, merchant_id, amount, currency, :status, 'tok', 'sandbox', 'x',"
            " :attention FROM payout_run_items WHERE payout_id = :id"
            " ON CONFLICT (id) DO UPDATE SET status = :status",
            id=payout_id,
            status=status,
            attention=attention,
        )

    async def operation(self, payout_id: str, attempt_state: str, saga_state: str) -> None:
        """The operation of an item's saga."""
        refused = attempt_state == "recorded" and saga_state == "done"
        await self.rows(
            "INSERT INTO operations (saga_id, kind, operation_id, merchant_id, input, requested_by,"
            " attempt, attempt_state, saga_state, failure)"
            " VALUES ('payout/' || :id, 'payout', :id, 'mer', '{}', 'x', 1, :attempt, :saga,"
            " CASE WHEN :refused THEN"
            ' CAST(\'{"code": "insufficient_available_balance", "message": "no"}\' AS jsonb)'
            " END)",
            id=payout_id,
            attempt=attempt_state,
            saga=saga_state,
            refused=refused,
        )


def run_input(**changes: Any) -> PayoutRunInput:
    """A run by hand."""
    values = {"name": "daily", "business_date": DAY, "requested_by": MAKER, **changes}
    return PayoutRunInput(**values)


async def shop(scene: Scene, schedule: str = "daily", **terms: Any) -> str:
    """A merchant with 50.00 EUR."""
    balances = terms.pop("balances", {"EUR": 5_000})
    return await merchant_with(scene.database, balances, schedule=schedule, **terms)
