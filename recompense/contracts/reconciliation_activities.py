"""Typed stubs of the steps of a reconciliation and of a repair, as
`recompense.contracts.activities` has those of sagas. The names stand in recorded histories.
"""

from __future__ import annotations

from temporalio import activity

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
from recompense.contracts.repairs import AdmitRepair, RepairRef, RepairStands, WithdrawRepair
from recompense.contracts.steps import PageDone, PageRequest


@activity.defn(name="reconciliation.open")
async def open_reconciliation(wanted: OpenReconciliation) -> ReconcileInput:
    """Make the row of a scheduled reconciliation, once for each run of its schedule."""
    raise NotImplementedError


@activity.defn(name="reconciliation.relay")
async def unfinished_reconciliations(page: PageRequest) -> tuple[ReconcileInput, ...]:
    """List a page of reconciliations that have not ended, oldest first."""
    raise NotImplementedError


@activity.defn(name="reconciliation.plan")
async def plan_reconciliation(given: ReconcileInput) -> ReconcilePlan:
    """Say how the report is fetched."""
    raise NotImplementedError


@activity.defn(name="reconciliation.fetch")
async def fetch_report(given: ReconcileInput) -> FetchedReport:
    """Fetch the report and keep it as it came."""
    raise NotImplementedError


@activity.defn(name="reconciliation.load")
async def load_report(load: LoadReport) -> LoadedReport:
    """Load the lines of a kept report: all of them, or none and why."""
    raise NotImplementedError


@activity.defn(name="reconciliation.compare")
async def compare_report(load: LoadReport) -> Compared:
    """Settle what agrees and open breaks for the rest, in one transaction."""
    raise NotImplementedError


@activity.defn(name="reconciliation.release")
async def release_settled(page: PageRequest) -> PageDone:
    """Let a page of captures become due that were settled."""
    raise NotImplementedError


@activity.defn(name="reconciliation.finish")
async def finish_reconciliation(finish: FinishReconciliation) -> str:
    """End the reconciliation, and say how."""
    raise NotImplementedError


@activity.defn(name="reconciliation.check")
async def check_balances() -> CheckedBalances:
    """Compare what providers owe us with the journal, and have what stays unknown pulled."""
    raise NotImplementedError


@activity.defn(name="repair.look")
async def look_at_repair(ref: RepairRef) -> RepairStands:
    """Say where a break stands."""
    raise NotImplementedError


@activity.defn(name="repair.admit")
async def admit_repair(admit: AdmitRepair) -> RepairStands:
    """Take a person's word about a break, or refuse it."""
    raise NotImplementedError


@activity.defn(name="repair.book")
async def book_repair(ref: RepairRef) -> RepairStands:
    """Book what was asked for, and resolve the break: once."""
    raise NotImplementedError


@activity.defn(name="repair.withdraw")
async def withdraw_repair(withdraw: WithdrawRepair) -> RepairStands:
    """Compensation of `repair.admit`: nobody's word stands any more. What is booked stays."""
    raise NotImplementedError
