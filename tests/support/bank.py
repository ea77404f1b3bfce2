"""A bank, seen from a folder: it takes the files in `out`, holds them against their schema, keeps
each transfer once, and writes what it has to say into `in`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from adapters.sepa.adapter import SepaAdapter
from tests.support.bank_files import (
    OUR_IBAN,
    Message,
    Ntry,
    Stmt,
    Tx,
    holds_against_schema,
    status_report,
)
from tests.support.platform import Platform

PAYEES = {
    "tok_account": {"name": "Erika Mustermann", "iban": "FR1420041010050500013M02606"},
    "tok_closed": {"name": "Closed Account", "iban": "NL91ABNA0417164300"},
    "tok_returned": {"name": "Returned Account", "iban": "BE68539007547034"},
}


A_PAYEE = "tok_account"


@dataclass(frozen=True)
class Transfer:
    """A credit transfer as the bank read it. `amount` as the file spells it."""

    end_to_end_id: str
    message_id: str
    amount: str
    currency: str
    iban: str

    @property
    def cents(self) -> int:
        """The amount in minor units, by its digits."""
        whole, _, fraction = self.amount.partition(".")
        assert len(fraction) == 2
        return int(whole + fraction)


@dataclass
class Bank:
    """`files` are the names it took, as often as it took them; `transfers` what it executes."""

    root: Path
    files: list[str] = field(default_factory=list)
    transfers: dict[str, list[Transfer]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def config(self) -> dict[str, object]:
        """What the adapter is told about this bank."""
        return {
            "debtor": {"name": "Recompense GmbH", "iban": OUR_IBAN},
            "bank_tokens": PAYEES,
            "folder": str(self.root),
            "quiet_seconds": 0,
        }

    def take(self) -> list[Transfer]:
        """Take every file that waits, and execute what is in it."""
        new: list[Transfer] = []
        out = self.root / "out"
        for path in sorted(out.glob("*.xml")) if out.exists() else []:
            content = path.read_bytes()
            path.unlink()
            assert holds_against_schema("pain.001.001.09", content) is None
            self.files.append(path.name)
            new += _transfers(content)
        for transfer in new:
            self.transfers.setdefault(transfer.end_to_end_id, []).append(transfer)
        return new

    def leave(self, content: bytes, name: str | None = None) -> None:
        """Leave a file, whole at once."""
        (self.root / "in").mkdir(parents=True, exist_ok=True)
        name = name or f"{next(self._numbers):04}.xml"
        (self.root / f"{name}.new").write_bytes(content)
        os.replace(self.root / f"{name}.new", self.root / "in" / name)

    def reports(self, message_id: str, *transactions: tuple[str, str, str | None]) -> None:
        """Leave a `pain.002`."""
        self.leave(status_report(message_id, transactions=transactions))

    def books(self, entries: Sequence[Ntry], *, kind: str = "054", version: int = 8) -> None:
        """Leave a notification or a statement that is valid under its schema."""
        message = Message(kind, version, [Stmt(entries)])
        assert holds_against_schema(message.name, message.content) is None
        self.leave(message.content)

    def pays(self, transfer: Transfer) -> None:
        """Tell that a transfer was booked."""
        self.books([Ntry(transfer.amount, transactions=[_tx(transfer)])])

    def returns(self, transfer: Transfer, reason: str = "AC04") -> None:
        """Tell that a transfer came back."""
        self.books([Ntry(transfer.amount, credit=True, transactions=[_tx(transfer, reason)])])


def _tx(transfer: Transfer, reason: str | None = None) -> Tx:
    return Tx(
        transfer.end_to_end_id, transfer.amount, message_id=transfer.message_id, reason=reason
    )


def _transfers(content: bytes) -> list[Transfer]:
    root = etree.fromstring(content)
    message_id = root.findtext(".//{*}GrpHdr/{*}MsgId") or ""
    found = []
    for node in root.iter("{*}CdtTrfTxInf"):
        amount = node.find(".//{*}InstdAmt")
        assert amount is not None
        found.append(
            Transfer(
                node.findtext(".//{*}EndToEndId") or "",
                message_id,
                amount.text or "",
                amount.get("Ccy") or "",
                node.findtext("{*}CdtrAcct/{*}Id/{*}IBAN") or "",
            )
        )
    return found


def bank_of(platform: Platform) -> Bank:
    """The bank that a platform's rail exchanges files with."""
    adapter = platform.tools.providers.port("sepa")
    assert isinstance(adapter, SepaAdapter)
    folder = adapter.config.folder
    assert folder is not None
    return Bank(folder)
