"""Legal lives of payments and payouts, step by step, over any ledger: what the sagas would post.

Hypothesis drives it; the unit tier books on the model, the database tier on PostgreSQL.
"""

from dataclasses import dataclass, field

from recompense.ledger import templates
from recompense.ledger.book import Book
from recompense.ledger.postings import Posting

PROVIDER, BANK = "sandbox", "main"
MERCHANTS = ("mer_1", "mer_2")
CURRENCIES = ("EUR", "JPY")


@dataclass
class PaymentLife:
    """A payment's sums, as its row would hold them."""

    id: str
    merchant_id: str
    currency: str
    authorized: int
    captured: int = 0
    voided: int = 0
    fees: int = 0
    refunded: int = 0
    reserved: int = 0
    made_available: int = 0
    reserved_from_pending: int = 0
    refunded_from_pending: int = 0
    refunds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Open refunds: how much, and how much of it from pending."""

    @property
    def capturable(self) -> int:
        return self.authorized - self.captured - self.voided

    @property
    def refundable(self) -> int:
        return self.captured - self.refunded - self.reserved

    @property
    def pending(self) -> int:
        """What of this payment is in its merchant's pending account and not reserved."""
        gone = self.fees + self.made_available + self.reserved_from_pending
        return self.captured - gone - self.refunded_from_pending


class MoneyLife:
    """Makes the next posting of a legal life, and keeps the rows that the sagas would keep."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.payments: list[PaymentLife] = []
        self.open_payouts: list[str] = []
        self._made = 0

    def _next(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self._made}"

    def authorize(self, merchant_id: str, currency: str, amount: int) -> Posting:
        payment = PaymentLife(self._next("pay"), merchant_id, currency, amount)
        self.payments.append(payment)
        return templates.authorized(
            f"{payment.id}:authorize:1",
            payment_id=payment.id,
            provider=PROVIDER,
            merchant_id=merchant_id,
            amount=amount,
            currency=currency,
        )

    def capture(self, payment: PaymentLife, amount: int, fee: int, *, at_once: bool) -> Posting:
        moved = amount - fee if at_once else 0
        payment.captured += amount
        payment.fees += fee
        payment.made_available += moved
        return templates.captured(
            f"{self._next('cap')}:capture:1",
            payment_id=payment.id,
            holds=self.book.open_holds(operation_id=payment.id),
            merchant_id=payment.merchant_id,
            amount=amount,
            fee=fee,
            currency=payment.currency,
            made_available=moved,
        )

    def give_back(self, payment: PaymentLife, *, expired: bool) -> Posting:
        template = templates.expired if expired else templates.voided
        payment.voided += payment.capturable
        holds = self.book.open_holds(operation_id=payment.id)
        return template(f"{payment.id}:void:1", payment_id=payment.id, holds=holds)

    def make_available(self, payment: PaymentLife) -> Posting:
        amount = payment.pending
        payment.made_available += amount
        return templates.made_available(
            f"{self._next('avl')}:move:1",
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=amount,
            currency=payment.currency,
        )

    def ask_refund(self, payment: PaymentLife, amount: int) -> tuple[str, Posting]:
        """The refund's id and its reservation; tell `refund_asked` whether it was booked."""
        refund_id = self._next("ref")
        posting = templates.refund_asked(
            f"{refund_id}:reserve:1",
            payment_id=payment.id,
            provider=PROVIDER,
            merchant_id=payment.merchant_id,
            amount=amount,
            payment_pending=payment.pending,
            currency=payment.currency,
        )
        return refund_id, posting

    def refund_asked(self, payment: PaymentLife, refund_id: str, amount: int) -> None:
        from_pending = min(amount, payment.pending)
        payment.refunds[refund_id] = (amount, from_pending)
        payment.reserved += amount
        payment.reserved_from_pending += from_pending

    def end_refund(self, payment: PaymentLife, refund_id: str, *, done: bool) -> Posting:
        amount, from_pending = payment.refunds.pop(refund_id)
        payment.reserved -= amount
        payment.reserved_from_pending -= from_pending
        holds = self.book.open_holds(operation_id=refund_id)
        if not done:
            return templates.refund_refused(
                f"{refund_id}:release:1", payment_id=payment.id, holds=holds
            )
        payment.refunded += amount
        payment.refunded_from_pending += from_pending
        return templates.refund_done(
            f"{refund_id}:post:1",
            payment_id=payment.id,
            holds=holds,
            merchant_id=payment.merchant_id,
            currency=payment.currency,
        )

    def ask_payout(self, merchant_id: str, currency: str, amount: int) -> tuple[str, Posting]:
        """The payout's id and its reservation; add the id to `open_payouts` when it was booked."""
        payout_id = self._next("po")
        posting = templates.payout_asked(
            f"{payout_id}:reserve:1",
            merchant_id=merchant_id,
            bank=BANK,
            amount=amount,
            currency=currency,
        )
        return payout_id, posting

    def end_payout(self, payout_id: str, *, paid: bool) -> Posting:
        self.open_payouts.remove(payout_id)
        template = templates.payout_paid if paid else templates.payout_failed
        return template(f"{payout_id}:end:1", holds=self.book.open_holds(operation_id=payout_id))
