"""How captured money becomes the merchant's own: at once or when it is due, less what the rolling
reserve keeps, and how that becomes free.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recompense.domain.terms import ReserveTerms
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence.tables import Capture, Merchant, Payment, ReserveTranche
from recompense.persistence.work import Work


@dataclass(frozen=True)
class Shares:
    """An amount that leaves pending, in minor units: what becomes available, what is kept back."""

    available: int
    kept: int


def pending_money(payment: Payment) -> int:
    """What this payment has in the merchant's pending account that no refund has taken."""
    return (
        payment.amount_captured
        - payment.amount_fees
        - payment.amount_made_available
        - payment.amount_refunded_from_pending
    )


def share_out(
    work: Work, merchant: Merchant, payment: Payment, capture: Capture, amount: int, now: datetime
) -> Shares:
    """Say how an amount of a capture is shared out that becomes available now, and note it: in the
    payment's sums, and as a tranche of the reserve. The caller posts it, in the same transaction.
    """
    terms = ReserveTerms.model_validate(merchant.reserve)
    kept = terms.kept(amount)
    payment.amount_made_available += amount
    if kept:
        work.add(
            ReserveTranche(
                capture_id=capture.id,
                payment_id=payment.id,
                merchant_id=payment.merchant_id,
                amount=kept,
                currency=payment.currency,
                release_at=terms.release_at(now),
            )
        )
    return Shares(amount - kept, kept)


async def make_available(work: Work, capture_id: str, payment_id: str, now: datetime) -> None:
    """Move one capture's money out of pending, less what refunds of its payment have taken or
    reserved from there; once, whoever asks and how often.
    """
    payment = await work.get(Payment, payment_id, lock=True)
    capture = await work.get(Capture, capture_id, lock=True)
    if payment is None or capture is None or capture.made_available:
        return
    capture.made_available = True
    amount = min(capture.amount - capture.fee, pending_money(payment))
    merchant = await work.get(Merchant, payment.merchant_id)
    if amount <= 0 or merchant is None:
        return
    shares = share_out(work, merchant, payment, capture, amount, now)
    await work.post(
        templates.made_available(
            posting_key(capture.id, "available", 1),
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=shares.available,
            currency=payment.currency,
            reserved=shares.kept,
        ),
    )


async def release_reserve(work: Work, capture_id: str) -> None:
    """Give the merchant what the reserve has kept of a capture; once, whoever asks and how
    often.
    """
    tranche = await work.get(ReserveTranche, capture_id, lock=True)
    if tranche is None or tranche.released_at is not None:
        return
    tranche.released_at = work.clock
    await work.post(
        templates.reserve_released(
            posting_key(tranche.capture_id, "reserve.release", 1),
            payment_id=tranche.payment_id,
            merchant_id=tranche.merchant_id,
            amount=tranche.amount,
            currency=tranche.currency,
        ),
    )
