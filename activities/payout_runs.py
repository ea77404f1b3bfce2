"""The in-house steps of a payout run: open it, freeze its items, review it, and hand its items out.

Each is one transaction under the run's row lock, and each may be done again: what it did before, it
finds.
"""

from __future__ import annotations

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.toolbox import PayoutRunTools, Toolbox
from recompense.contracts.payout_runs import (
    AdvanceRun,
    PayoutRunInput,
    PlannedRun,
    PlanRun,
    ReviewRun,
    RunAdvanced,
    RunFrozen,
    RunOpened,
    RunRef,
    RunReviewed,
    StartItem,
)
from recompense.contracts.sagas import PayoutInput, Refusal
from recompense.domain.failures import Refused
from recompense.domain.payout_dates import Clock, is_due_by_hand, is_due_in
from recompense.domain.states import PayoutRunStatus
from recompense.domain.terms import PayoutTerms
from recompense.persistence import outbox, payout_run_reads, payout_runs
from recompense.persistence.payout_runs import DuePayout
from recompense.persistence.run_tables import PayoutRunItemRow, PayoutRunRow

MERCHANTS_AT_ONCE = 200
"""A page stays far below the time that an in-house step may take."""


class PayoutRunActivities:
    """Open, freeze, review and advance payout runs."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @property
    def _runs(self) -> PayoutRunTools:
        if self._tools.payout_runs is None:
            raise RuntimeError("this worker was given no tools for payout runs")
        return self._tools.payout_runs

    @activity.defn(name="payout_run.plan")
    async def plan(self, plan: PlanRun) -> PlannedRun:
        """Say what run, if any, the moment at which a schedule fired stands for."""
        clock = self._runs.clock
        business_date = clock.business_date(plan.fired_at)
        if not clock.calendar.is_business_day(business_date):
            return PlannedRun(business_date=business_date, run=None)
        run = PayoutRunInput(
            name=plan.name,
            business_date=business_date,
            fired_at=plan.fired_at,
            requested_by=f"schedule:{plan.name}",
        )
        return PlannedRun(business_date=business_date, run=run)

    @activity.defn(name="payout_run.open")
    async def open(self, run: PayoutRunInput) -> RunOpened:
        """Make the run's row, or find it. Another run that excludes it is a refusal."""
        try:
            async with self._runs.database.transaction() as session:
                row = await payout_runs.opened(session, run)
                return RunOpened(run=await payout_run_reads.view(session, row))
        except Refused as refused:
            return RunOpened(refusal=_refusal(refused))

    @activity.defn(name="payout_run.freeze")
    async def freeze(self, ref: RunRef) -> RunFrozen:
        """Put the next page of merchants into the run's list. The last page completes it: nothing
        is added to it ever after.
        """
        async with self._runs.database.transaction() as session:
            row = await payout_runs.locked(session, ref.run_id)
            if row.status != PayoutRunStatus.BUILDING:
                return _frozen(row, done=True)
            merchants = await payout_runs.merchants_after(session, row, MERCHANTS_AT_ONCE)
            await payout_runs.add_items(session, row, await self._due(session, row, merchants))
            if merchants:
                row.frozen_to = merchants[-1].id
            await payout_runs.total(session, row)
            done = len(merchants) < MERCHANTS_AT_ONCE
            if done:
                await self._complete_list(session, row)
            return _frozen(row, done=done)

    async def _due(
        self, session: AsyncSession, row: PayoutRunRow, merchants: list[Any]
    ) -> list[DuePayout]:
        terms = {
            merchant.id: PayoutTerms.model_validate(merchant.payout)
            for merchant in merchants
            if _is_due(self._runs.clock, row, merchant)
        }
        found = await payout_runs.available(session, row, list(terms))
        return [
            DuePayout(one.merchant_id, one.currency, one.available, _token(terms[one.merchant_id]))
            for one in found
            if one.available >= max(1, terms[one.merchant_id].minimum_of(one.currency))
        ]

    async def _complete_list(self, session: AsyncSession, row: PayoutRunRow) -> None:
        if row.items_count == 0 and row.fired_at is not None:
            # A schedule fires on days on which nobody is due: nobody is asked about nothing.
            await payout_runs.end(session, row)
        elif self._runs.approval:
            payout_runs.move(row, PayoutRunStatus.AWAITING_APPROVAL)
            await payout_runs.tell(session, row, "awaiting_approval")
        else:
            payout_runs.move(row, PayoutRunStatus.RUNNING)

    @activity.defn(name="payout_run.review")
    async def review(self, reviewed: ReviewRun) -> RunReviewed:
        """Write a person's word. Who made the run cannot approve it; a schedule is nobody.

        The word that counted is told so again.
        """
        review = reviewed.review
        async with self._runs.database.transaction() as session:
            row = await payout_runs.locked(session, reviewed.run_id)
            if row.review_key == reviewed.key:
                return RunReviewed(run=await payout_run_reads.view(session, row))
            refusal = _objection(row, approves=review.decision == "approve", actor=review.actor)
            if refusal is not None:
                return RunReviewed(refusal=refusal)
            row.reviewed_by, row.review_key = review.actor, reviewed.key
            outbox.audit(
                session,
                actor=review.actor,
                action=f"payout_run_{review.decision}",
                target=row.id,
                reason=review.reason,
            )
            if review.decision == "approve":
                payout_runs.move(row, PayoutRunStatus.RUNNING)
            else:
                payout_runs.move(row, PayoutRunStatus.REJECTED)
                await payout_runs.reject_items(session, row)
                await payout_runs.tell(session, row, "rejected")
            await session.flush()
            return RunReviewed(run=await payout_run_reads.view(session, row))

    @activity.defn(name="payout_run.advance")
    async def advance(self, advance: AdvanceRun) -> RunAdvanced:
        """Write which items were started, see which are settled, and hand out the next ones.

        An item is handed out while its row says `ready`: the saga that is started twice for it is
        one. With nothing left to hand out or to wait for, the run ends.
        """
        async with self._runs.database.transaction() as session:
            row = await payout_runs.locked(session, advance.run_id)
            if row.status != PayoutRunStatus.RUNNING:
                return RunAdvanced(status=PayoutRunStatus(row.status), items_count=row.items_count)
            await payout_runs.mark(session, row, advance.started, advance.lost)
            ready, started = await payout_runs.open_items(session, row)
            if ready + started == 0:
                await payout_runs.end(session, row)
            free = max(0, advance.at_once - started)
            items = await payout_runs.next_items(session, row, free) if free else []
            return RunAdvanced(
                status=PayoutRunStatus(row.status),
                items=tuple(_start(row, item) for item in items),
                items_count=row.items_count,
                waiting=ready,
                open=started,
            )


def _objection(row: PayoutRunRow, *, approves: bool, actor: str) -> Refusal | None:
    if row.status != PayoutRunStatus.AWAITING_APPROVAL:
        return Refusal(
            code="payout_run_not_awaiting_approval",
            message="This payout run does not wait for an approval.",
        )
    if approves and actor == row.created_by:
        return Refusal(code="four_eyes", message="Who made a payout run cannot approve it.")
    return None


def _is_due(clock: Clock, row: PayoutRunRow, merchant: Any) -> bool:  # noqa: ANN401 - a row
    terms = PayoutTerms.model_validate(merchant.payout)
    calendar = clock.of_country(merchant.country)
    if row.fired_at is None:
        return is_due_by_hand(terms, calendar, row.business_date)
    return is_due_in(terms, calendar, clock.window(row.fired_at))


def _token(terms: PayoutTerms) -> str | None:
    token = (terms.destination or {}).get("token")
    return None if token is None else str(token)


def _start(row: PayoutRunRow, item: PayoutRunItemRow) -> StartItem:
    payout = PayoutInput(
        payout_id=item.payout_id,
        merchant_id=item.merchant_id,
        amount=item.amount,
        currency=item.currency,
        token=str(item.token),
        run_id=row.id,
        requested_by=row.created_by,
    )
    return StartItem(item_id=item.id, payout=payout, again=item.again)


def _frozen(row: PayoutRunRow, *, done: bool) -> RunFrozen:
    return RunFrozen(done=done, status=PayoutRunStatus(row.status), items_count=row.items_count)


def _refusal(refused: Refused) -> Refusal:
    return Refusal(code=refused.code, message=refused.message, members=refused.members)
