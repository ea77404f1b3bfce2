"""The steps of a reconciliation: fetch the report, load it, compare it, make money available, end.

The bulk of it runs in threads and in the database, so that a worker goes on with everything else
meanwhile. Each step may be run again at any time and finds what it has done.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO

from temporalio import activity

from activities.toolbox import Settlement, Toolbox
from recompense.contracts.provider import ProviderOperation
from recompense.contracts.reconciliation import (
    CheckedBalances,
    Compared,
    FetchedReport,
    FinishReconciliation,
    LoadedReport,
    LoadReport,
    OpenReconciliation,
    ReconcileInput,
    ReconcilePlan,
)
from recompense.contracts.settlement import ReportRefused
from recompense.contracts.steps import PageDone, PageRequest
from recompense.domain.failures import InvariantBroken
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import balance_check, matching, reconciling

HEARTBEAT_SECONDS = 2.0
RELAY_AFTER_SECONDS = 5.0
"""How old a reconciliation must be before the relay starts it: who made it usually has by then."""

SCHEDULED_BY = "recompense:schedule"


class ReconciliationActivities:
    """The steps on our own side."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @property
    def _settlement(self) -> Settlement:
        return settlement_of(self._tools)

    @activity.defn(name="reconciliation.open")
    async def open(self, wanted: OpenReconciliation) -> ReconcileInput:
        """Make the row of a scheduled reconciliation, once for each run of its schedule."""
        info = activity.info()
        async with self._settlement.database.transaction() as session:
            return await reconciling.open_scheduled(
                session,
                new_id(IdPrefix.RECONCILIATION),
                provider=wanted.provider,
                report_date=wanted.report_date,
                run=str(info.workflow_run_id),
                requested_by=SCHEDULED_BY,
            )

    @activity.defn(name="reconciliation.relay")
    async def relay(self, page: PageRequest) -> tuple[ReconcileInput, ...]:
        """List a page of reconciliations that have not ended, oldest first; the cursor is an id.

        Whether one of them has been started, Temporal knows.
        """
        async with self._settlement.database.transaction() as session:
            return await reconciling.unfinished(
                session, page.cursor, page.page_size, older_than_seconds=RELAY_AFTER_SECONDS
            )

    @activity.defn(name="reconciliation.plan")
    async def plan(self, given: ReconcileInput) -> ReconcilePlan:
        """Say how the report is fetched."""
        terms = self._settlement.terms_of(given.provider)
        policies = self._tools.providers.policies(given.provider)
        return ReconcilePlan(
            policy=policies.calls[ProviderOperation.REPORT],
            retry_seconds=terms.report_retry_seconds,
            deadline_seconds=terms.report_deadline_seconds,
        )

    @activity.defn(name="reconciliation.load")
    async def load(self, load: LoadReport) -> LoadedReport:
        """Read the kept report and load its lines: all of them, or none and why."""
        given, shelf = load.reconciliation, self._settlement.shelf
        port = self._tools.providers.port(given.provider)
        async with _beating():
            try:
                loaded = await asyncio.to_thread(
                    shelf.load,
                    load.report_id,
                    lambda chunks: port.read_settlement_report(chunks, given.report_date),
                    look_back_days=self._settlement.terms_of(given.provider).look_back_days,
                )
            except ReportRefused as refused:
                return LoadedReport(refused_code=refused.code, refused_message=str(refused))
        return LoadedReport(lines=loaded.lines)

    @activity.defn(name="reconciliation.compare")
    async def compare(self, load: LoadReport) -> Compared:
        """Settle what agrees and open breaks for the rest, in one transaction."""
        comparison = matching.Comparison(
            load.reconciliation,
            load.report_id,
            self._settlement.terms_of(load.reconciliation.provider),
            self._tools.payout_bank,
        )
        async with _beating(), self._settlement.database.transaction() as session:
            return await matching.compare(session, comparison)

    @activity.defn(name="reconciliation.release")
    async def release(self, page: PageRequest) -> PageDone:
        """Let a page of captures become available that were settled, where that was awaited."""
        async with self._settlement.database.transaction() as session:
            last = await reconciling.release_settled(session, page.cursor, page.page_size)
            return PageDone(handled=0 if last is None else 1, cursor=last)

    @activity.defn(name="reconciliation.check")
    async def check(self) -> CheckedBalances:
        """Compare what providers owe us with the journal, and have what stays unknown pulled."""
        providers = sorted(self._tools.providers.names)
        async with _beating(), self._settlement.database.transaction() as session:
            return await balance_check.check(session, providers)

    @activity.defn(name="reconciliation.finish")
    async def finish(self, finish: FinishReconciliation) -> str:
        """End the reconciliation, and say how."""
        async with self._settlement.database.transaction() as session:
            return await reconciling.finish(session, finish)


class ReportActivities:
    """The step at the provider."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @property
    def _settlement(self) -> Settlement:
        return settlement_of(self._tools)

    @activity.defn(name="reconciliation.fetch")
    async def fetch(self, given: ReconcileInput) -> FetchedReport:
        """Fetch the report and keep it as it came. Raises what the adapter raises."""
        terms = self._settlement.terms_of(given.provider)
        async with _beating():
            with tempfile.TemporaryFile() as file:
                try:
                    size = await self._download(given, file, terms.largest_report_bytes)
                except ReportRefused as refused:
                    return FetchedReport(refused_code=refused.code, refused_message=str(refused))
                report_id = await asyncio.to_thread(
                    self._settlement.shelf.keep, given.provider, given.report_date, file
                )
        return FetchedReport(report_id=report_id, bytes=size)

    async def _download(self, given: ReconcileInput, file: IO[bytes], largest: int) -> int:
        size = 0
        port = self._tools.providers.port(given.provider)
        async for chunk in port.fetch_settlement_report(given.report_date):
            size += len(chunk)
            if size > largest:
                raise ReportRefused(
                    "report_too_large", f"The report is larger than {largest} bytes."
                )
            file.write(chunk)
        return size


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Tell Temporal that this worker lives, so that another one takes over when it does not."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def settlement_of(tools: Toolbox) -> Settlement:
    """What reconciliation works with. Raises `InvariantBroken` where nothing is reconciled."""
    if tools.settlement is None:
        raise InvariantBroken("this process reconciles nothing")
    return tools.settlement
