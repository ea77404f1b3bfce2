"""A bank behind a folder. It is no server: what breaks on a socket is not asked of it, and
`tests/database/test_bank_rail.py` cuts its files and its rows instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.registry import build
from adapters.sepa.identifiers import end_to_end_id
from adapters.transport import ObservedTransport
from recompense.contracts.batches import BatchItem, BatchPayouts, PayoutBatch
from recompense.contracts.provider import CreatePayoutCall, MoneyCall, ProviderOperation
from tests.conformance.targets import Effect, Meaning, StandIn, Target
from tests.support.bank import PAYEES, Bank, Transfer

_IN_A_WINDOW = "nothing leaves in a call: the platform collects it until its window closes"


class SepaTarget(Target):
    """Takes files, and answers each transfer by the account that it goes to."""

    name = "sepa"
    tokens = {  # noqa: RUF012 - never changed
        Meaning.GOOD_ACCOUNT: "tok_account",
        Meaning.CLOSED_ACCOUNT: "tok_closed",
        Meaning.RETURNED_ACCOUNT: "tok_returned",
    }
    late = frozenset({ProviderOperation.CREATE_PAYOUT})
    not_applicable = {  # noqa: RUF012 - never changed
        "call_after_its_send_right_is_not_sent*": _IN_A_WINDOW,
    }

    def __init__(self, bank: Bank) -> None:
        super().__init__()
        self.bank = bank

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """The folder."""
        return dict(self.bank.config)

    def effects(self, call: MoneyCall) -> list[Effect]:
        """What the bank took: its window is closed now, twice, where the platform has not."""
        reference = end_to_end_id(call.effect_key)
        if reference not in self.bank.transfers and isinstance(call, CreatePayoutCall):
            with ThreadPoolExecutor(1) as aside:
                for _ in range(2):
                    aside.submit(asyncio.run, self._close(call)).result()
                    self.bank.take()
        made = self.bank.transfers.get(reference, [])
        return [Effect(one.cents, one.currency) for one in made]

    async def _close(self, call: CreatePayoutCall) -> None:
        port = build("sepa", self.config(), transport=ObservedTransport(lambda _: None)).port
        assert isinstance(port, BatchPayouts)
        window = call.send_by.astimezone(UTC)
        item = BatchItem(
            effect_key=call.effect_key,
            amount=call.amount,
            currency=call.currency,
            token=call.token,
        )
        batch_id = f"sepa/{window:%Y%m%dT%H%M%SZ}"
        batch = PayoutBatch(
            batch_id=batch_id,
            effect_key=f"{batch_id}:submit:1",
            closed_at=datetime(2026, 11, 27, 15, tzinfo=UTC),
            items=(item,),
        )
        await port.submit_batch(batch)

    def settle(self, call: MoneyCall) -> None:
        """Take what waits, and answer all of it."""
        for transfer in self.bank.take():
            self._answer(transfer)

    def _answer(self, transfer: Transfer) -> None:
        told: tuple[str, str, str | None] = (transfer.end_to_end_id, "ACTC", None)
        if transfer.iban == PAYEES["tok_closed"]["iban"]:
            told = (transfer.end_to_end_id, "RJCT", "AC04")
        self.bank.reports(transfer.message_id, told)
        if told[1] != "RJCT":
            self.bank.pays(transfer)
        if transfer.iban == PAYEES["tok_returned"]["iban"]:
            self.bank.returns(transfer)


@contextlib.contextmanager
def _sepa(directory: Path) -> Iterator[Target]:
    yield SepaTarget(Bank(directory))


TARGETS: dict[str, StandIn] = {"sepa": _sepa}
