"""The checks of a bank rail, which is asked by files: nothing is put where the bank takes from, and
nothing that the bank has left is moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from recompense.contracts.batches import BankFileRefused, BankFiles, DryRuns
from recompense.contracts.provider import Declined, ProviderPort
from recompense.domain.account_numbers import without_account_numbers
from recompense.ops.check_calls import CheckCalls, CheckOptions
from recompense.ops.check_results import Check, CheckResult, NotAsked, Unexpected, expect, result_of

_MOST_FILES = 100
_NOBODY = "tok_of_no_destination"


class BankRailCheck:
    """The checks of one bank rail."""

    def __init__(self, port: ProviderPort, options: CheckOptions) -> None:
        self._port = port
        self._calls = CheckCalls(port, options)

    async def run(self) -> tuple[CheckResult, ...]:
        """Run every check, whatever the others said."""
        return tuple([await result_of(name, check) for name, check in self._checks()])

    def _checks(self) -> Iterator[tuple[str, Check]]:
        yield "its mailbox is reached, and can be written", self._mailbox
        yield "a file with each destination holds against its schema", self._file
        yield "what the bank has left can be read", self._left
        yield "a destination that is not configured is declined", self._destination

    async def _mailbox(self) -> str:
        return await self._dry().try_mailbox()

    async def _file(self) -> str:
        return self._dry().dry_file(datetime.now(UTC))

    async def _left(self) -> str:
        if not isinstance(self._port, BankFiles):
            raise NotAsked("its bank leaves no files")
        waiting = (await self._port.list_bank_files())[:_MOST_FILES]
        told, refused = 0, list[str]()
        for file in waiting:
            try:
                content = await self._port.fetch_bank_file(file.name)
                told += len(self._port.read_bank_file(content))
            except BankFileRefused as refusal:
                refused.append(f"{without_account_numbers(file.name)}: {refusal.code}")
        if refused:
            raise Unexpected("; ".join(refused))
        return f"{len(waiting)} files tell {told} times of payouts"

    async def _destination(self) -> None:
        call = self._calls.payout().model_copy(update={"token": _NOBODY})
        outcome = await self._port.create_payout(call)
        expect(isinstance(outcome, Declined), outcome.kind)

    def _dry(self) -> DryRuns:
        if not isinstance(self._port, DryRuns):
            raise NotAsked("its adapter offers no dry run")
        return self._port
