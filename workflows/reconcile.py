"""Compare a provider's report of one date with our books, and settle what agrees."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

from recompense.contracts import activities
from recompense.contracts import reconciliation_activities as steps
from recompense.contracts.reconciliation import (
    CheckedBalances,
    Compared,
    FetchedReport,
    FinishReconciliation,
    LoadReport,
    OpenReconciliation,
    ReconcileDaily,
    ReconcileInput,
    ReconcilePlan,
)
from recompense.contracts.sagas import provider_task_queue
from recompense.contracts.search_attributes import of_reconciliation
from recompense.contracts.starting import TASK_TIMEOUT
from recompense.contracts.steps import PageDone, PageRequest
from workflows.policies import IN_HOUSE

_PAGE = 200
_DAY = timedelta(days=1)
_SCHEDULED_START = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")

_BULK: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=30),
    # A worker that died over a long report is noticed by this, not by the time it may take.
    "heartbeat_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        maximum_interval=timedelta(seconds=30),
        non_retryable_error_types=["InvariantBroken"],
    ),
}


@workflow.defn(name="ReconcileProvider")
class ReconcileProvider:
    """fetch the report, load it, compare it, make settled money available, end.

    A report that is refused, or that does not come in time, ends it as failed: readable, not red.
    """

    @workflow.init
    def __init__(self, given: ReconcileInput) -> None:
        self._given = given

    @workflow.run
    async def run(self, given: ReconcileInput) -> str:
        """Reconcile. Returns how it ended."""
        try:
            return await self._reconcile(given)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await self._fail("reconciliation_canceled", "It was canceled.")
            else:
                await self._fail("reconciliation_broken", "A step has failed: see its workflow.")
            raise

    async def _reconcile(self, given: ReconcileInput) -> str:
        fetched = await self._fetched()
        if fetched is None:
            return await self._fail("report_not_there", "The provider has shown no report in time.")
        if fetched.report_id is None:
            return await self._fail(fetched.refused_code, fetched.refused_message)
        load = LoadReport(reconciliation=given, report_id=fetched.report_id)
        self._say(f"loading {fetched.bytes} bytes")
        loaded = await workflow.execute_activity(steps.load_report, load, **_BULK)
        if loaded.refused_code is not None:
            return await self._fail(loaded.refused_code, loaded.refused_message)
        self._say(f"comparing {loaded.lines} lines")
        compared = await workflow.execute_activity(steps.compare_report, load, **_BULK)
        self._say(f"{_told(compared)}; making settled money available")
        await self._release()
        return await self._finish(FinishReconciliation(reconciliation=given), _told(compared))

    async def _fetched(self) -> FetchedReport | None:
        """Ask for the report until it is there. None: it was not there in time."""
        plan: ReconcilePlan = await workflow.execute_local_activity(
            steps.plan_reconciliation, self._given, **IN_HOUSE
        )
        deadline = workflow.now() + timedelta(seconds=plan.deadline_seconds)
        while True:
            self._say("waiting for the report")
            try:
                return await workflow.execute_activity(
                    steps.fetch_report,
                    self._given,
                    summary=f"report of {self._given.report_date.isoformat()}",
                    **_fetching(self._given.provider, plan),
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                if not _may_come_true(error) or workflow.now() >= deadline:
                    return None
            await workflow.sleep(timedelta(seconds=plan.retry_seconds))

    async def _release(self) -> None:
        """Let settled captures become due, and move what is due."""
        cursor: str | None = None
        while True:
            marked: PageDone = await workflow.execute_local_activity(
                steps.release_settled, PageRequest(page_size=_PAGE, cursor=cursor), **IN_HOUSE
            )
            cursor = marked.cursor
            if cursor is None:
                break
        while True:
            moved: PageDone = await workflow.execute_local_activity(
                activities.make_available, PageRequest(page_size=_PAGE), **IN_HOUSE
            )
            if moved.cursor is None:
                return

    async def _fail(self, code: str | None, message: str | None) -> str:
        end = FinishReconciliation(
            reconciliation=self._given, failure_code=code, failure_message=message
        )
        return await self._finish(end, message or "")

    async def _finish(self, end: FinishReconciliation, told: str) -> str:
        status: str = await workflow.execute_local_activity(
            steps.finish_reconciliation, end, **IN_HOUSE
        )
        self._say(f"{status}: {told}")
        return status

    def _say(self, doing: str) -> None:
        workflow.set_current_details(doing)


@workflow.defn(name="ReconcileDaily")
class ReconcileDailyTrigger:
    """Scheduled: reconcile a provider's report of the day before the scheduled time."""

    @workflow.run
    async def run(self, daily: ReconcileDaily) -> str:
        """Start the reconciliation, which goes on by itself. Returns its workflow id."""
        wanted = OpenReconciliation(
            provider=daily.provider,
            report_date=daily.report_date or (_scheduled_at() - _DAY).date(),
        )
        given: ReconcileInput = await workflow.execute_local_activity(
            steps.open_reconciliation, wanted, **IN_HOUSE
        )
        await _start(given)
        return given.workflow_id


@workflow.defn(name="RelayReconciliations")
class RelayReconciliations:
    """Scheduled: start what nobody works on. Who made its row died before it started it, or its run
    was terminated.
    """

    @workflow.run
    async def run(self) -> int:
        """Go through all that have not ended. Returns how many were started."""
        cursor: str | None = None
        started = 0
        while True:
            page: tuple[ReconcileInput, ...] = await workflow.execute_local_activity(
                steps.unfinished_reconciliations,
                PageRequest(page_size=_PAGE, cursor=cursor),
                **IN_HOUSE,
            )
            for given in page:
                started += await _start(given)
            if len(page) < _PAGE:
                return started
            cursor = page[-1].reconciliation_id


async def _start(given: ReconcileInput) -> bool:
    """Start a reconciliation, which goes on by itself. False: it runs, or has come to its end.

    One that was terminated has not: a new run loads, compares and ends it as the first would have.
    """
    try:
        await workflow.start_child_workflow(
            ReconcileProvider.run,
            given,
            id=given.workflow_id,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            task_timeout=TASK_TIMEOUT,
            search_attributes=of_reconciliation(given.reconciliation_id, given.provider),
            static_summary=f"Reconcile {given.provider} of {given.report_date.isoformat()}",
        )
    except FailureError:
        workflow.logger.info("started before", extra={"reconciliation": given.workflow_id})
        return False
    return True


@workflow.defn(name="CheckBalances")
class CheckBalances:
    """Scheduled: what providers owe us by the ledger is what the journal says.

    A difference is red: a person has to look. What a person is asked about already is told, and is
    not red.
    """

    @workflow.run
    async def run(self) -> str:
        """Check all providers. Returns what was seen; fails with what differs."""
        found: CheckedBalances = await workflow.execute_activity(steps.check_balances, **_BULK)
        asked = "".join(
            f"; {one.provider} {one.currency}: a person is asked about {one.effects} effects"
            f" of {one.amount}"
            for one in found.asked_about
        )
        if found.differences:
            told = "; ".join(
                f"{one.provider} {one.currency}: {one.in_ledger} in the ledger,"
                f" {one.in_journal} in the journal"
                for one in found.differences
            )
            raise ApplicationError(told + asked, type="BalancesDiffer", non_retryable=True)
        again = f"{found.asked_again} effects are asked about again"
        return f"all balances agree; {again}{asked}"


def _fetching(provider: str, plan: ReconcilePlan) -> dict[str, Any]:
    policy = plan.policy
    return {
        "task_queue": provider_task_queue(provider),
        "start_to_close_timeout": timedelta(seconds=policy.start_to_close_seconds),
        "heartbeat_timeout": timedelta(seconds=10),
        # One try at a time: a report that is not there yet is waited for by the workflow.
        "retry_policy": RetryPolicy(maximum_attempts=1),
    }


def _may_come_true(error: ActivityError) -> bool:
    """Whether to ask again: not where the provider refuses us altogether."""
    return getattr(error.cause, "type", None) not in {"ProviderAccessDenied", "InvariantBroken"}


def _scheduled_at() -> datetime:
    """When the schedule wanted this run: a run that is late is still of its own day."""
    scheduled = workflow.info().typed_search_attributes.get(_SCHEDULED_START)
    return scheduled or workflow.info().start_time


def _told(compared: Compared) -> str:
    return (
        f"{compared.matched} of {compared.lines} lines agree;"
        f" {compared.opened} breaks opened, {compared.closed} closed"
    )
