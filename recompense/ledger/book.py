"""The ledger's rules over a dictionary: what a posting does to balances, holds and floors.

The database enforces the same rules for money. This model is their definition: the simulation books
on it, and tests hold the database against it.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

from recompense.domain.failures import InsufficientAvailableBalance, InvariantBroken
from recompense.ledger.accounts import Side, account
from recompense.ledger.postings import OpenHold, Phase, Posting, Transfer, TransferRef


@dataclass(frozen=True, slots=True)
class Totals:
    """An account's two sides, in minor units; pending is what open holds still hold."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    def balance(self, side: Side) -> int:
        """The posted balance, counted on one side."""
        balance = self.credits_posted - self.debits_posted
        return balance if side is Side.CREDIT else -balance

    @property
    def spendable(self) -> int:
        """A liability's posted balance less what is held against it: what a floor limits."""
        return self.balance(Side.CREDIT) - self.debits_pending

    def plus(self, side: Side, posted: int, pending: int) -> "Totals":
        """These totals after more on one side."""
        if side is Side.DEBIT:
            return replace(
                self,
                debits_posted=self.debits_posted + posted,
                debits_pending=self.debits_pending + pending,
            )
        return replace(
            self,
            credits_posted=self.credits_posted + posted,
            credits_pending=self.credits_pending + pending,
        )


def movement(transfer: Transfer) -> tuple[int, int]:
    """How much a transfer adds to the posted and to the pending total of both its accounts."""
    if transfer.phase is Phase.PENDING:
        return 0, transfer.amount
    return (
        transfer.amount if transfer.phase is Phase.POSTED else 0,
        -transfer.amount if transfer.resolves else 0,
    )


class Book:
    """A ledger in memory."""

    def __init__(self, floors: dict[tuple[str, str], int] | None = None) -> None:
        self._floors = floors or {}
        self._postings: dict[str, Posting] = {}
        self._totals: defaultdict[tuple[str, str], Totals] = defaultdict(Totals)
        self._holds: dict[TransferRef, OpenHold] = {}

    def post(self, posting: Posting) -> Posting:
        """Book the posting, or return the one that its key has booked before.

        Raises:
            InsufficientAvailableBalance: a floored account would fall below its floor.
            InvariantBroken: the key has another content, or a hold is not there for what uses it.
        """
        first = self._postings.setdefault(posting.key, posting)
        if first != posting:
            raise InvariantBroken(f"posting {posting.key} was booked with another content")
        if first is posting:
            self._apply_or_forget(posting)
        return first

    def totals(self, account_name: str, currency: str) -> Totals:
        """What the account has in this currency."""
        return self._totals[account_name, currency]

    @property
    def accounts(self) -> dict[tuple[str, str], Totals]:
        """All accounts that are not all zero, by name and currency."""
        return {name: totals for name, totals in self._totals.items() if totals != Totals()}

    def open_holds(
        self, *, operation_id: str | None = None, payment_id: str | None = None
    ) -> list[OpenHold]:
        """The holds with something remaining, of an operation or of a payment, oldest first."""
        found = []
        for ref, hold in self._holds.items():
            posting = self._postings[ref.posting_key]
            if hold.remaining and (operation_id in {None, posting.operation_id}):
                if payment_id in {None, posting.payment_id}:
                    found.append(hold)
        return found

    def _apply_or_forget(self, posting: Posting) -> None:
        before = (self._totals.copy(), self._holds.copy())
        try:
            for line, transfer in enumerate(posting.transfers, start=1):
                self._apply(posting.ref(line), transfer)
        except Exception:
            self._totals, self._holds = before
            del self._postings[posting.key]
            raise

    def _apply(self, ref: TransferRef, transfer: Transfer) -> None:
        if transfer.phase is Phase.PENDING:
            self._holds[ref] = OpenHold(
                ref, transfer.debit, transfer.credit, transfer.currency, transfer.amount
            )
        if transfer.resolves:
            self._use_hold(transfer, transfer.resolves)
        posted, pending = movement(transfer)
        for name, side in ((transfer.debit, Side.DEBIT), (transfer.credit, Side.CREDIT)):
            totals = self._totals[name, transfer.currency].plus(side, posted, pending)
            self._totals[name, transfer.currency] = totals
            self._check_floor(name, transfer.currency, totals)

    def _use_hold(self, transfer: Transfer, ref: TransferRef) -> None:
        hold = self._holds.get(ref)
        wanted = (transfer.debit, transfer.credit, transfer.currency)
        if hold is None or (hold.debit, hold.credit, hold.currency) != wanted:
            raise InvariantBroken(f"there is no hold {ref} for this transfer")
        if transfer.amount > hold.remaining:
            raise InvariantBroken(f"hold {ref} has {hold.remaining}, not {transfer.amount}")
        self._holds[ref] = replace(hold, remaining=hold.remaining - transfer.amount)

    def _check_floor(self, name: str, currency: str, totals: Totals) -> None:
        floor = self._floors.get((name, currency), 0)
        if account(name).floored and totals.spendable < floor:
            raise InsufficientAvailableBalance
