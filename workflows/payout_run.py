"""Pay many merchants at once: freeze what is due to whom, have it approved, and start their payouts
a window at a time.

The rows decide and the workflow asks them: whatever is killed, reset or started twice, an item's
saga is started while its row says `ready`, under an id that the row chose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from recompense.contracts import activities
from recompense.contracts.payout_runs import (
    AdvanceRun,
    PayoutRunDecision,
    PayoutRunInput,
    PayoutRunResult,
    ReviewRun,
    RunAdvanced,
    RunOpened,
    RunRef,
    RunReview,
    RunReviewed,
    StartItem,
)
from recompense.contracts.sagas import Refusal
from recompense.contracts.starting import saga_start
from recompense.domain.states import PayoutRunStatus
from workflows.payout import Payout
from workflows.policies import IN_HOUSE

LOOK_AGAIN_AFTER = timedelta(hours=1)
"""How long a run that waits for an approval sleeps before it looks where it stands."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 2.0
LONGEST_HISTORY = 3_500
"""Events after which a run goes on as new though some of its window is still open."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@workflow.defn(name="PayoutRun")
class PayoutRun:
    """open, freeze the items, [approval], start a window of payouts, page by page; summary."""

    @workflow.init
    def __init__(self, run: PayoutRunInput) -> None:
        self._input = run
        self._run_id: str | None = None
        self._decision: PayoutRunDecision | None = None
        self._over = False
        self._reviewed = False
        self._ended = 0
        self._lost: list[str] = []

    @workflow.run
    async def run(self, run: PayoutRunInput) -> PayoutRunResult:
        """Carry the run to its end; one that has ended stays as it is."""
        try:
            return await self._carry()
        except ActivityError:
            self._over = True
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise

    @workflow.update(name="decision", description="Wait until the run's items are frozen")
    async def decision(self) -> PayoutRunDecision:
        """The run once its list is complete, or why there is none."""
        await workflow.wait_condition(lambda: self._decision is not None or self._over)
        if self._decision is None:
            raise ApplicationError("The run could not be built.", type="PayoutRunFailed")
        return self._decision

    @workflow.update(name="review", description="Approve or reject the run")
    async def review(self, review: RunReview) -> RunReviewed:
        """Take a person's word about all items. The row decides whether it counts."""
        await workflow.wait_condition(lambda: self._run_id is not None or self._over)
        if self._run_id is None:
            return RunReviewed(refusal=_no_run())
        info = workflow.current_update_info()
        key = info.id if info is not None else ""
        reviewed = await _step(
            activities.review_payout_run, ReviewRun(run_id=self._run_id, key=key, review=review)
        )
        self._reviewed = self._reviewed or reviewed.refusal is None
        return reviewed

    async def _carry(self) -> PayoutRunResult:
        while True:
            opened = await _step(activities.open_payout_run, self._input)
            run = opened.run
            if run is None:
                return await self._end(f"refused: {_words(opened)}", opened)
            self._run_id = run.id
            if run.status is PayoutRunStatus.BUILDING:
                await self._freeze(run.id)
                continue
            self._decide(opened)
            if run.status is PayoutRunStatus.AWAITING_APPROVAL:
                await self._word(run.items_count)
            elif run.status is PayoutRunStatus.RUNNING:
                await self._pay(run.id)
            else:
                return await self._end(run.status.value.replace("_", " "), opened)

    def _decide(self, opened: RunOpened) -> None:
        if self._decision is None:
            self._decision = PayoutRunDecision(run=opened.run, refusal=opened.refusal)

    async def _end(self, ended: str, opened: RunOpened) -> PayoutRunResult:
        self._decide(opened)
        self._say(ended)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return PayoutRunResult(run_id=self._run_id, ended=ended)

    async def _freeze(self, run_id: str) -> None:
        """Complete the list of items, a page of merchants at a time."""
        done, items = False, 0
        while not done:
            self._say(f"finding out who is due: {items:,} items so far")
            frozen = await _step(activities.freeze_payout_run, RunRef(run_id=run_id))
            done, items = frozen.done, frozen.items_count

    async def _word(self, items: int) -> None:
        """Wait for a person. The word may have been given to another run of this workflow, which
        tells nobody: so look again from time to time.
        """
        self._say(f"waiting for an approval of {items:,} items")
        try:
            await workflow.wait_condition(lambda: self._reviewed, timeout=LOOK_AGAIN_AFTER)
        except TimeoutError:
            return
        self._reviewed = False

    async def _pay(self, run_id: str) -> None:
        """Start a window of payouts at a time until none is left, or a page is full."""
        handed, before, pause = 0, 0, FIRST_PAUSE_SECONDS
        started: tuple[str, ...] = ()
        while True:
            lost, self._lost = tuple(self._lost), []
            step = await _step(
                activities.advance_payout_run,
                AdvanceRun(run_id=run_id, at_once=self._input.at_once, started=started, lost=lost),
            )
            self._show(step)
            if step.status is not PayoutRunStatus.RUNNING:
                return
            full = handed >= self._input.page_size
            if (full and step.open == 0) or _is_long():
                await self._go_on_as_new()
            items = () if full else step.items
            started = await self._start(items)
            handed += len(items)
            moved = bool(items) or step.open < before
            pause = FIRST_PAUSE_SECONDS if moved else min(pause * 2, LONGEST_PAUSE_SECONDS)
            before = step.open + len(items)
            await self._settle(before, pause)

    async def _start(self, items: tuple[StartItem, ...]) -> tuple[str, ...]:
        await asyncio.gather(*(self._start_one(item) for item in items))
        return tuple(item.item_id for item in items)

    async def _start_one(self, item: StartItem) -> None:
        start = saga_start(item.payout)
        try:
            handle = await workflow.start_child_workflow(
                Payout.run,
                item.payout,
                id=start.workflow_id,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
                if item.again
                else WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                task_timeout=start.task_timeout,
                search_attributes=start.search_attributes,
                static_summary=start.static_summary,
                static_details=start.static_details,
            )
        except FailureError:
            # It was started before: the rows tell what became of it.
            return
        handle.add_done_callback(partial(self._note_end, item.item_id))

    def _note_end(self, item_id: str, payout: asyncio.Future[Any]) -> None:
        self._ended += 1
        if payout.cancelled() or payout.exception() is not None:
            self._lost.append(item_id)

    async def _settle(self, open_items: int, pause: float) -> None:
        """Wait until half of what is open has ended, and no longer than the pause: a payout that is
        on its way settles its item without an end.
        """
        wanted = self._ended + max(1, open_items // 2)
        try:
            await workflow.wait_condition(
                lambda: self._ended >= wanted, timeout=timedelta(seconds=pause)
            )
        except TimeoutError:
            return

    async def _go_on_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._input)

    def _show(self, step: RunAdvanced) -> None:
        started = step.items_count - step.waiting
        self._say(
            f"{started:,} of {step.items_count:,} items started, {step.open:,} not settled yet"
        )

    def _say(self, doing: str) -> None:
        """Say in plain words what the run is doing: shown in the Temporal UI, at no cost in
        history.
        """
        lines = [f"**{doing[:1].upper()}{doing[1:]}**"]
        if self._run_id is not None:
            lines += ["", f"Run `{self._run_id}`: `recompense payout-runs show {self._run_id}`"]
        workflow.set_current_details("\n".join(lines))


async def _step(stub: Callable[[_In], Awaitable[_Out]], argument: _In) -> _Out:
    """Run one of the run's in-house steps: one transaction."""
    return await workflow.execute_local_activity(stub, argument, **IN_HOUSE)


def _is_long() -> bool:
    info = workflow.info()
    return (
        info.is_continue_as_new_suggested() or info.get_current_history_length() > LONGEST_HISTORY
    )


def _no_run() -> Refusal:
    return Refusal(
        code="payout_run_not_awaiting_approval",
        message="This payout run does not wait for an approval.",
    )


def _words(opened: RunOpened) -> str:
    return opened.refusal.message if opened.refusal is not None else "there is no run"
