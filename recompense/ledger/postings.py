"""Transfers and postings: the values the ledger is written in. What can be built is balanced."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from recompense.domain.money import known_currency
from recompense.ledger.accounts import account

LARGEST_AMOUNT = 2**63 - 1
"""What the database's bigint holds, in minor units."""

_KEY = re.compile(r"[A-Za-z0-9_-]+:[a-z0-9_.-]+:[1-9][0-9]*")
_KEY_MAX_LENGTH = 100


class Phase(StrEnum):
    """What a transfer does: take a hold, move money, or give back a hold."""

    PENDING = "pending"
    POSTED = "posted"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, order=True)
class TransferRef:
    """Names one transfer: its posting's key, and its line there, from 1."""

    posting_key: str
    line: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """One amount from a debited to a credited account.

    A `pending` transfer is a hold. `resolves` names the hold that a `posted`, `voided` or `expired`
    transfer uses up by its amount; the accounts and the currency are the hold's own. Amounts are
    minor units of the currency.

    Raises:
        ValueError: a transfer that no ledger may hold.
    """

    debit: str
    credit: str
    amount: int
    currency: str
    phase: Phase = Phase.POSTED
    resolves: TransferRef | None = None

    def __post_init__(self) -> None:
        if type(self.amount) is not int or not 0 < self.amount <= LARGEST_AMOUNT:
            raise ValueError(f"a transfer moves a positive count of minor units, not {self.amount}")
        if account(self.debit) == account(self.credit):
            raise ValueError(f"a transfer from {self.debit} to itself moves nothing")
        known_currency(self.currency)
        if self.phase is Phase.PENDING and self.resolves:
            raise ValueError("a hold does not resolve another hold")
        if self.phase in {Phase.VOIDED, Phase.EXPIRED} and not self.resolves:
            raise ValueError(f"a {self.phase} transfer names the hold that it gives back")

    def undone(self, ref: TransferRef) -> list["Transfer"]:
        """The transfers that bring back what this one, recorded as `ref`, has changed."""
        if self.phase is Phase.PENDING:
            return [self._with(Phase.VOIDED, resolves=ref)]
        hold_again = [self._with(Phase.PENDING)] if self.resolves else []
        if self.phase is Phase.POSTED:
            return [Transfer(self.credit, self.debit, self.amount, self.currency), *hold_again]
        return hold_again

    def _with(self, phase: Phase, resolves: TransferRef | None = None) -> "Transfer":
        return Transfer(self.debit, self.credit, self.amount, self.currency, phase, resolves)


@dataclass(frozen=True, slots=True)
class Posting:
    """Transfers that commit together or not at all, once, under `key`.

    The key is `<operation>:<step>:<attempt>`, as `posting_key` builds it. `payment_id` ties the
    posting to the payment whose money it moves, where there is one.

    Raises:
        ValueError: no transfers, or a key of another form.
    """

    key: str
    transfers: tuple[Transfer, ...]
    payment_id: str | None = None

    def __post_init__(self) -> None:
        if len(self.key) > _KEY_MAX_LENGTH or not _KEY.fullmatch(self.key):
            raise ValueError(f"{self.key!r} is not <operation>:<step>:<attempt>")
        if not self.transfers:
            raise ValueError(f"posting {self.key} has no transfers")

    @property
    def operation_id(self) -> str:
        """The operation that made the posting."""
        return self.key.partition(":")[0]

    def ref(self, line: int) -> TransferRef:
        """Name the transfer on this line, counted from 1."""
        return TransferRef(self.key, line)

    def reversed(self, key: str) -> "Posting":
        """The posting that brings back every balance that this one has changed.

        A hold that this posting took is given back, and what it took from a hold is held again, by
        a new hold.
        """
        lines = list(enumerate(self.transfers, start=1))
        # Last line first: so each step meets the balances that it left behind.
        undone = [
            undo for line, original in reversed(lines) for undo in original.undone(self.ref(line))
        ]
        return Posting(key, tuple(undone), self.payment_id)


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A pending transfer; `remaining` of its minor units are neither posted nor given back."""

    ref: TransferRef
    debit: str
    credit: str
    currency: str
    remaining: int


def posting_key(operation_id: str, step: str, attempt: int) -> str:
    """The key under which a step posts: the same for every retry, another for each attempt."""
    return f"{operation_id}:{step}:{attempt}"


def resolve(holds: Iterable[OpenHold], amount: int, phase: Phase) -> list[Transfer]:
    """Use up `amount` minor units of the holds, in their order, as transfers of the given phase.

    Raises:
        ValueError: the holds do not cover the amount.
    """
    transfers = []
    for hold in holds:
        part = min(amount, hold.remaining)
        if part:
            transfers.append(
                Transfer(hold.debit, hold.credit, part, hold.currency, phase, hold.ref)
            )
        amount -= part
    if amount:
        raise ValueError(f"the open holds are {amount} minor units short")
    return transfers


def total_remaining(holds: Sequence[OpenHold]) -> int:
    """The minor units that are still held, over holds of one currency."""
    return sum(hold.remaining for hold in holds)
