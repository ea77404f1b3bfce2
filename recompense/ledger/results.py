"""What the ledger answers, as the API shows it. Amounts are minor units, times are UTC."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from recompense.ledger.accounts import AccountKind
from recompense.ledger.postings import Phase


class LedgerResult(BaseModel):
    """An answer of the ledger."""

    model_config = ConfigDict(frozen=True)


class PostingResult(LedgerResult):
    """Where a posting is in the books. When `first` is false, its key had been posted before."""

    id: int
    at: datetime
    first: bool


class AccountBalance(LedgerResult):
    """An account in one currency. `balance` is the posted one, on the account's normal side."""

    account: str
    currency: str
    kind: AccountKind
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    balance: int


class MerchantBalance(LedgerResult):
    """What a merchant has in one currency.

    Open holds of payouts and refunds are taken off `pending` and `available`.
    """

    currency: str
    pending: int
    available: int
    reserve: int
    in_transit: int


class LedgerEntry(LedgerResult):
    """One side of a transfer. For `voided` and `expired` it is the hold that was given back."""

    id: str
    posting_key: str
    operation_id: str
    account: str
    currency: str
    direction: Literal["debit", "credit"]
    amount: int
    phase: Phase
    at: datetime


class EntryPage(LedgerResult):
    """A page of entries, newest first; `next_cursor` is None on the last one."""

    data: list[LedgerEntry]
    next_cursor: str | None


class CurrencyTotals(LedgerResult):
    """All accounts together in one currency."""

    currency: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits, posted and pending apart."""
        return (
            self.debits_posted == self.credits_posted
            and self.debits_pending == self.credits_pending
        )


class TrialBalance(LedgerResult):
    """The whole ledger at a time. `final` tells that no open transaction can add to it any more."""

    data: list[CurrencyTotals]
    at: datetime
    final: bool
