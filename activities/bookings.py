"""How a payment's row and the ledger move together: one place for each movement, under the
payment's lock.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from activities.availability import Shares, share_out
from recompense.contracts.provider import RequiresAction
from recompense.contracts.sagas import SagaRef
from recompense.domain.calendar import calendar_of
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import (
    PAYMENT_TRANSITIONS,
    CaptureStatus,
    PaymentStatus,
    may_move,
    payment_status,
)
from recompense.domain.terms import FeeSchedule, PayoutTerms
from recompense.ledger import templates
from recompense.ledger.accounts import merchant_pending, provider_clearing
from recompense.ledger.postings import OpenHold, TransferRef
from recompense.persistence import outbox
from recompense.persistence.merchants import availability_of
from recompense.persistence.tables import Capture, Merchant, Payment
from recompense.persistence.views import capture_view, payment_view, uncaptured
from recompense.persistence.work import Work


def required(value: str | None) -> str:
    """A column that is set by now; anything else is a broken invariant."""
    if value is None:
        raise InvariantBroken("a payment that has reached its provider names it")
    return value


async def locked_payment(work: Work, saga: SagaRef) -> Payment:
    """Lock the payment that a saga works on: all operations on one payment are decided under this
    lock.
    """
    payment = await work.get(Payment, saga.payment_id, lock=True)
    if payment is None:
        raise InvariantBroken(f"{saga.saga_id} has no payment")
    return payment


async def merchant_of(work: Work, merchant_id: str) -> Merchant:
    """Read a merchant. Raises `Refused` when there is none."""
    merchant = await work.get(Merchant, merchant_id)
    if merchant is None:
        raise Refused("merchant_not_found", f"There is no merchant {merchant_id}.")
    return merchant


def set_payment_status(payment: Payment, target: PaymentStatus) -> None:
    """Move a payment along its transition table; any other move is a broken invariant."""
    current = PaymentStatus(payment.status)
    if not may_move(PAYMENT_TRANSITIONS, current, target):
        raise InvariantBroken(f"payment {payment.id} cannot move from {current} to {target}")
    payment.status = target


def derive_status(payment: Payment) -> None:
    """Set the status that the amounts say, after money has moved."""
    target = payment_status(
        captured=payment.amount_captured,
        refunded=payment.amount_refunded,
        capturable=uncaptured(payment) + payment.amount_capture_reserved,
        expired=payment.expired,
    )
    set_payment_status(payment, target)


def next_action(outcome: RequiresAction) -> dict[str, str]:
    """What a payment shows that its payer has to do."""
    return {"type": "redirect", "url": outcome.redirect_url}


async def tell_payment(work: Work, payment: Payment) -> None:
    """Emit the event that is named after the payment's present status."""
    await work.flush()
    outbox.emit(
        work,
        f"payment.{payment.status}",
        payment_view(payment),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
    )


async def tell_capture(work: Work, capture: Capture) -> None:
    """Emit the event that is named after the capture's present status."""
    await work.flush()
    outbox.emit(
        work,
        f"capture.{capture.status}",
        capture_view(capture),
        merchant_id=capture.merchant_id,
        payment_id=capture.payment_id,
    )


def open_hold(payment: Payment) -> list[OpenHold]:
    """What is still held of the payment's authorization: nothing, or its one hold."""
    remaining = payment.amount_held - payment.amount_captured - payment.amount_voided
    if remaining == 0:
        return []
    return [
        OpenHold(
            ref=TransferRef(required(payment.hold_key), 1),
            debit=provider_clearing(required(payment.provider)),
            credit=merchant_pending(payment.merchant_id),
            currency=payment.currency,
            remaining=remaining,
        )
    ]


async def release_hold(work: Work, payment: Payment, key: str) -> None:
    """Give the whole hold of an authorization back that was never captured from."""
    holds = open_hold(payment)
    if holds:
        await work.post(templates.voided(key, payment_id=payment.id, holds=holds))
    payment.amount_held = 0
    payment.amount_authorized = 0


def reserve_capture(payment: Payment, amount: int) -> None:
    """Reserve an amount for a capture that is about to be sent."""
    payment.amount_capture_reserved += amount


def release_capture(payment: Payment, capture: Capture, failure: dict[str, str | None]) -> None:
    """Give a capture's reservation back and end the capture."""
    payment.amount_capture_reserved -= capture.amount
    capture.status = CaptureStatus.FAILED
    capture.failure = dict(failure)


async def book_capture(
    work: Work,
    payment: Payment,
    capture: Capture,
    key: str,
    *,
    now: datetime,
    rest_key: str | None = None,
) -> None:
    """Post a capture: the hold in part, the fee, and the money that is available at once, less what
    the reserve keeps; the rest goes when it was final.
    """
    merchant = await merchant_of(work, payment.merchant_id)
    fees = FeeSchedule.model_validate(merchant.fees)
    capture.fee = fees.fee(capture.amount, capture.currency, payment.payment_method)
    capture.available_at = _due_at(merchant, now)
    shares = Shares(0, 0)
    capture.made_available = merchant.availability_rule == "on_capture"
    if capture.made_available:
        net = capture.amount - capture.fee
        shares = share_out(work, merchant, payment, capture, net, now)
    await work.post(
        templates.captured(
            key,
            payment_id=payment.id,
            holds=open_hold(payment),
            merchant_id=payment.merchant_id,
            amount=capture.amount,
            fee=capture.fee,
            currency=payment.currency,
            made_available=shares.available,
            reserved=shares.kept,
        ),
    )
    payment.amount_capture_reserved -= capture.amount
    payment.amount_captured += capture.amount
    payment.amount_fees += capture.fee
    capture.status = CaptureStatus.SUCCEEDED
    if capture.final and rest_key is not None:
        await void_rest(work, payment, rest_key)
    derive_status(payment)
    await tell_capture(work, capture)


def _due_at(merchant: Merchant, now: datetime) -> datetime | None:
    time_zone = PayoutTerms.model_validate(merchant.payout).time_zone or "UTC"
    return availability_of(merchant).due_at(now, calendar_of(merchant.country), time_zone)


async def close_authorization(work: Work, payment: Payment, key: str) -> None:
    """The provider has closed the authorization, though no operation of ours says so: what no
    capture holds goes back now, and what an open one reserves when it ends in vain.
    """
    payment.authorization_closed = True
    await give_back_what_is_closed(work, payment, key)


async def give_back_what_is_closed(work: Work, payment: Payment, key: str) -> None:
    """Give back what is left of an authorization that the provider has closed, if it has."""
    rest = uncaptured(payment)
    if payment.authorization_closed and rest > 0:
        await void_part(work, payment, key, rest)


async def void_part(work: Work, payment: Payment, key: str, amount: int) -> None:
    """Give back a part of the hold that no capture reserves, and say where the payment stands."""
    before = payment.status
    holds = [replace(hold, remaining=amount) for hold in open_hold(payment)]
    await work.post(templates.voided(key, payment_id=payment.id, holds=holds))
    payment.amount_voided += amount
    derive_status(payment)
    if payment.status != before:
        await tell_payment(work, payment)


async def void_rest(work: Work, payment: Payment, key: str, *, expired: bool = False) -> None:
    """Give back what is still held of an authorization, because it was voided, has expired, or a
    capture was final.
    """
    holds = open_hold(payment)
    if not holds:
        return
    make = templates.expired if expired else templates.voided
    await work.post(make(key, payment_id=payment.id, holds=holds))
    payment.amount_voided += holds[0].remaining
