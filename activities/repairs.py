"""The steps of a break's repair: look where it stands, take a person's word, book it, take it back.

Each is one transaction under the break's row lock, and each may be done again: what it did before,
it finds.
"""

from __future__ import annotations

from temporalio import activity

from activities.reconciliation import settlement_of
from activities.toolbox import Settlement, Toolbox
from recompense.contracts.repairs import AdmitRepair, RepairRef, RepairStands, WithdrawRepair
from recompense.persistence import repairs
from recompense.persistence.repairs import Rules


class RepairActivities:
    """Look, admit, book and withdraw."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @property
    def _settlement(self) -> Settlement:
        return settlement_of(self._tools)

    @property
    def _rules(self) -> Rules:
        return Rules(self._tools.payout_bank, self._settlement.write_off_approval_above)

    @activity.defn(name="repair.look")
    async def look(self, ref: RepairRef) -> RepairStands:
        """Say where a break stands."""
        async with self._settlement.database.transaction() as session:
            return await repairs.look(session, ref.break_id)

    @activity.defn(name="repair.admit")
    async def admit(self, admit: AdmitRepair) -> RepairStands:
        """Take a person's word about a break, or refuse it. Who asked for a write-off that takes
        two people cannot approve it.
        """
        async with self._settlement.database.transaction() as session:
            return await repairs.admit(session, admit.break_id, admit.word, self._rules)

    @activity.defn(name="repair.book")
    async def book(self, ref: RepairRef) -> RepairStands:
        """Book what was asked for, with its match, its audit and its event: once."""
        async with self._settlement.database.transaction() as session:
            return await repairs.book(session, ref.break_id, self._rules)

    @activity.defn(name="repair.withdraw")
    async def withdraw(self, withdraw: WithdrawRepair) -> RepairStands:
        """Compensation of `repair.admit`: nobody's word stands any more. What is booked stays."""
        async with self._settlement.database.transaction() as session:
            return await repairs.withdraw(session, withdraw.break_id, withdraw.reason)
