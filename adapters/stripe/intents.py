"""What a PaymentIntent says of an authorization, of one of its captures, or of its void."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.stripe.asked import Asked, our_amount
from adapters.stripe.declines import card_decline
from adapters.stripe.shapes import Charge, Intent
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
    Found,
    LookupAnswer,
    Pending,
    ProviderOperation,
    RequiresAction,
)
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch

_STATES = {
    "requires_confirmation": AuthorizationState.PENDING,
    "processing": AuthorizationState.PENDING,
    "requires_action": AuthorizationState.REQUIRES_ACTION,
    "requires_capture": AuthorizationState.AUTHORIZED,
    "succeeded": AuthorizationState.AUTHORIZED,
}
_NOT_CANCELED = frozenset({*_STATES, "requires_payment_method"})
_ABANDONED = Declined(code="abandoned", message="It was given up before it was made.")


def intent_found(intent: Intent, asked: Asked) -> Found:
    """What it says of the effect that was asked for.

    Raises `ProviderAnswerMismatch` for another object, and `OutcomeUnknown` where it contradicts
    itself.
    """
    asked.check(
        None if asked.operation is ProviderOperation.AUTHORIZE else intent.id, intent.metadata
    )
    if asked.operation is ProviderOperation.CAPTURE:
        return Found(answer=_capture(intent, asked))
    if asked.operation is ProviderOperation.VOID:
        return Found(answer=_void(intent, asked))
    asked.check_money(intent.amount, intent.currency)
    return Found(answer=_authorization(intent), authorization_state=_state(intent))


def _authorization(intent: Intent) -> LookupAnswer:
    if intent.status in ("requires_capture", "succeeded"):
        return Approved(reference=intent.id, expires_at=_expires_at(intent))
    if intent.status == "canceled":
        made = _was_authorized(intent)
        return Approved(reference=intent.id) if made else _ABANDONED
    if intent.status == "requires_payment_method" and intent.last_payment_error is not None:
        return card_decline(intent.last_payment_error)
    action = intent.next_action
    if intent.status == "requires_action" and action is not None and action.redirect_to_url:
        return RequiresAction(reference=intent.id, redirect_url=action.redirect_to_url.url)
    # `processing`, an action without an address, and whatever we do not know: not final.
    return Pending(reference=intent.id)


def _state(intent: Intent) -> AuthorizationState | None:
    if intent.status == "requires_payment_method" and intent.last_payment_error is not None:
        return AuthorizationState.DECLINED
    if intent.status == "canceled":
        expired = intent.cancellation_reason == "automatic"
        return AuthorizationState.EXPIRED if expired else AuthorizationState.VOIDED
    return _STATES.get(intent.status)


def _was_authorized(intent: Intent) -> bool:
    charge = intent.latest_charge
    if charge is None:
        return False
    if not isinstance(charge, Charge):
        raise OutcomeUnknown("the provider does not show whether it was authorized before")
    return charge.status == "succeeded"


def _expires_at(intent: Intent) -> datetime | None:
    charge = intent.latest_charge
    details = charge.payment_method_details if isinstance(charge, Charge) else None
    before = details.card.capture_before if details and details.card else None
    return None if before is None else datetime.fromtimestamp(before, UTC)


def _capture(intent: Intent, asked: Asked) -> LookupAnswer:
    """Its mark came with the capture itself, so it says that the capture was made; what was
    received proves it.
    """
    asked.check_currency(intent.currency)
    if intent.status not in ("succeeded", "requires_capture"):
        return Pending(reference=intent.id)
    if intent.amount_received is None:
        raise OutcomeUnknown("the provider does not show what it captured")
    received = our_amount(intent.amount_received, intent.currency)
    if asked.amount is not None:
        other = received < asked.amount if asked.several_captures else received != asked.amount
        if other:
            raise ProviderAnswerMismatch("the provider captured another amount")
    charge = intent.latest_charge
    return Approved(reference=_id_of(charge) or intent.id)


def _id_of(charge: Charge | str | None) -> str | None:
    return charge.id if isinstance(charge, Charge) else charge


def _void(intent: Intent, asked: Asked) -> LookupAnswer:
    asked.check_currency(intent.currency)
    if intent.status == "canceled":
        return Approved(reference=intent.id)
    # Marked before it was asked for: a known other status says that it was not made.
    return Absent() if intent.status in _NOT_CANCELED else Pending(reference=intent.id)
