"""Legal lives of payments and payouts, step by step, over any ledger: what the sagas would post.

Hypothesis drives it; the unit tier books on the model, the database tier on PostgreSQL.
"""

from collections import Counter
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
    fees_returned: int = 0
    refunded: int = 0
    reserved: int = 0
    made_available: int = 0
    reserved_from_pending: int = 0
    refunded_from_pending: int = 0
    refunds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Open refunds: how much, and how much of it from pending."""
    kept: list[int] = field(default_factory=list)
    """What the reserve keeps of it, in tranches."""

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


@dataclass(frozen=True)
class PayoutLife:
    """A payout, as its row would hold it."""

    id: str
    merchant_id: str
    currency: str
    amount: int


class MoneyLife:
    """Makes the next posting of a legal life, and keeps the rows that the sagas would keep."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.payments: list[PaymentLife] = []
        self.open_payouts: list[str] = []
        self.paid_payouts: list[PayoutLife] = []
        self.paid_out: Counter[tuple[str, str]] = Counter()
        self._payouts: dict[str, PayoutLife] = {}
        self._made = 0

    def own(self, merchant_id: str, currency: str) -> int:
        """What is the merchant's: what all accounts of it have to hold together."""
        captured = sum(
            payment.captured - payment.fees + payment.fees_returned - payment.refunded
            for payment in self.payments
            if (payment.merchant_id, payment.currency) == (merchant_id, currency)
        )
        return captured - self.paid_out[merchant_id, currency]

    def kept(self, merchant_id: str, currency: str) -> int:
        """What the merchant's reserve keeps."""
        return sum(
            sum(payment.kept)
            for payment in self.payments
            if (payment.merchant_id, payment.currency) == (merchant_id, currency)
        )

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

    def capture(
        self, payment: PaymentLife, amount: int, fee: int, *, at_once: bool, kept: int = 0
    ) -> Posting:
        """`kept` of what becomes available at once stays in the reserve."""
        moved = amount - fee if at_once else 0
        self._keep(payment, min(kept, moved))
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
            made_available=moved - min(kept, moved),
            reserved=min(kept, moved),
        )

    def _keep(self, payment: PaymentLife, kept: int) -> None:
        payment.kept += [kept] if kept else []

    def give_back(self, payment: PaymentLife, *, expired: bool) -> Posting:
        template = templates.expired if expired else templates.voided
        payment.voided += payment.capturable
        holds = self.book.open_holds(operation_id=payment.id)
        return template(f"{payment.id}:void:1", payment_id=payment.id, holds=holds)

    def make_available(self, payment: PaymentLife, kept: int = 0) -> Posting:
        amount = payment.pending
        payment.made_available += amount
        self._keep(payment, min(kept, amount))
        return templates.made_available(
            f"{self._next('avl')}:move:1",
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=amount - min(kept, amount),
            currency=payment.currency,
            reserved=min(kept, amount),
        )

    def release_reserve(self, payment: PaymentLife) -> Posting:
        return templates.reserve_released(
            f"{self._next('avl')}:reserve.release:1",
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=payment.kept.pop(0),
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

    def end_refund(
        self, payment: PaymentLife, refund_id: str, *, done: bool, fee_returned: int = 0
    ) -> Posting:
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
        payment.fees_returned += fee_returned
        return templates.refund_done(
            f"{refund_id}:post:1",
            payment_id=payment.id,
            holds=holds,
            merchant_id=payment.merchant_id,
            currency=payment.currency,
            fee_returned=fee_returned,
        )

    def ask_payout(self, merchant_id: str, currency: str, amount: int) -> tuple[str, Posting]:
        """The payout's id and its reservation; add the id to `open_payouts` when it was booked."""
        payout_id = self._next("po")
        self._payouts[payout_id] = PayoutLife(payout_id, merchant_id, currency, amount)
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
        payout = self._payouts[payout_id]
        if paid:
            self.paid_payouts.append(payout)
            self.paid_out[payout.merchant_id, payout.currency] += payout.amount
        template = templates.payout_paid if paid else templates.payout_failed
        return template(f"{payout_id}:end:1", holds=self.book.open_holds(operation_id=payout_id))

    def return_payout(self, payout: PayoutLife, return_fee: int) -> Posting:
        self.paid_payouts.remove(payout)
        self.paid_out[payout.merchant_id, payout.currency] -= payout.amount - return_fee
        return templates.payout_returned(
            f"{payout.id}:return:1",
            merchant_id=payout.merchant_id,
            bank=BANK,
            amount=payout.amount,
            currency=payout.currency,
            return_fee=return_fee,
        )

    def settle(self, currency: str, amount: int, provider_fee: int) -> Posting:
        return templates.settled(
            f"{self._next('stl')}:settle:1",
            provider=PROVIDER,
            bank=BANK,
            amount=amount,
            provider_fee=provider_fee,
            currency=currency,
        )
