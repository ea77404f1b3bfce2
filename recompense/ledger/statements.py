"""What a statement says of a merchant's accounts: what each movement was, and what it left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from recompense.ledger.accounts import merchant_available, merchant_pending, merchant_reserve

_CLEARING, _FEES, _BANK = "provider:clearing", "platform:fees", "bank:cash"
_PENDING, _AVAILABLE, _RESERVE = "pending", "available", "reserve"

_KINDS = {
    (_CLEARING, _PENDING): "capture",
    (_PENDING, _FEES): "fee",
    (_PENDING, _AVAILABLE): "made_available",
    (_PENDING, _RESERVE): "reserve_kept",
    (_RESERVE, _AVAILABLE): "reserve_released",
    (_PENDING, _CLEARING): "refund",
    (_AVAILABLE, _CLEARING): "refund",
    (_FEES, _AVAILABLE): "fee_returned",
    (_AVAILABLE, _BANK): "payout",
    (_BANK, _AVAILABLE): "payout_returned",
    (_AVAILABLE, _FEES): "return_fee",
    (_AVAILABLE, _RESERVE): "dispute_kept",
    (_RESERVE, _CLEARING): "dispute_lost",
}
_OTHER = "adjustment"
"""What no lifecycle books in this direction: reversals and repairs."""


class Holdings(NamedTuple):
    """What a merchant's accounts hold in one currency, posted, in minor units."""

    pending: int
    available: int
    reserve: int

    @property
    def total(self) -> int:
        """What is the merchant's in all."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class Movement:
    """A posted transfer of which a side, or both, is a merchant's account. Minor units."""

    at: datetime
    posting_key: str
    operation_id: str
    payment_id: str | None
    debit: str
    credit: str
    amount: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A movement as its merchant sees it. `change` is what it did to the merchant's total: nothing
    where money went from one account of the merchant to another. `after` is what it left.
    """

    movement: Movement
    kind: str
    change: int
    after: Holdings


class MerchantAccounts:
    """The three accounts of one merchant."""

    def __init__(self, merchant_id: str) -> None:
        self._kinds = {
            merchant_pending(merchant_id): _PENDING,
            merchant_available(merchant_id): _AVAILABLE,
            merchant_reserve(merchant_id): _RESERVE,
        }

    @property
    def names(self) -> list[str]:
        """Their names in the chart: pending, available, reserve."""
        return list(self._kinds)

    def line(self, movement: Movement, before: Holdings) -> StatementLine:
        """Say what a movement was, and what it left of what there was before."""
        debit, credit = self._shape(movement.debit), self._shape(movement.credit)
        after = dict(before._asdict())
        for shape, amount in ((debit, -movement.amount), (credit, movement.amount)):
            if shape in after:
                after[shape] += amount
        left = Holdings(**after)
        kind = _KINDS.get((debit, credit), _OTHER)
        return StatementLine(movement, kind, left.total - before.total, left)

    def _shape(self, account: str) -> str:
        own = self._kinds.get(account)
        if own is not None:
            return own
        parts = account.split(":")
        return f"{parts[0]}:{parts[-1]}"
