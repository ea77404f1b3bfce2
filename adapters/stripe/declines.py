"""Why Stripe refused, in our stable codes.

Source: Stripe, "Decline codes" and "Error codes". An unlisted code is a generic decline; the
vendor's own word stands beside it.
"""

from __future__ import annotations

from adapters.stripe.shapes import CardError
from recompense.contracts.provider import Declined, ProviderOperation

_DECLINES = {
    "authentication_required": "authentication_failed",
    "authentication_not_handled": "authentication_failed",
    "payment_intent_authentication_failure": "authentication_failed",
    "offline_pin_required": "authentication_failed",
    "online_or_offline_pin_required": "authentication_failed",
    "expired_card": "expired_card",
    "invalid_expiry_month": "expired_card",
    "invalid_expiry_year": "expired_card",
    "insufficient_funds": "insufficient_funds",
    "card_velocity_exceeded": "insufficient_funds",
    "withdrawal_count_limit_exceeded": "insufficient_funds",
    "incorrect_cvc": "card_details_wrong",
    "invalid_cvc": "card_details_wrong",
    "incorrect_number": "card_details_wrong",
    "invalid_number": "card_details_wrong",
    "incorrect_zip": "card_details_wrong",
    "incorrect_address": "card_details_wrong",
    "card_not_supported": "card_not_supported",
    "currency_not_supported": "card_not_supported",
    "duplicate_transaction": "duplicate_transaction",
}
_MESSAGES = {
    "authentication_failed": "The payer did not authenticate.",
    "expired_card": "The card has expired.",
    "insufficient_funds": "The account holds too little money.",
    "card_details_wrong": "The card's details are wrong.",
    "card_not_supported": "The card is not taken for this payment.",
    "duplicate_transaction": "The issuer has just seen the same payment.",
    "card_declined": "The card was declined.",
}
_ELSEWHERE = frozenset(
    {
        "approve_with_id",
        "card_not_supported",
        "currency_not_supported",
        "issuer_not_available",
        "processing_error",
        "reenter_transaction",
        "try_again_later",
    }
)
"""What says something about this processor or this moment, and nothing about card or payer."""

_REFUSALS = {
    "amount_too_large": "amount_not_taken",
    "amount_too_small": "amount_not_taken",
    "invalid_charge_amount": "amount_not_taken",
    "balance_insufficient": "provider_balance_insufficient",
    "insufficient_funds": "provider_balance_insufficient",
    "capture_charge_authorization_expired": "authorization_expired",
    "charge_expired_for_capture": "authorization_expired",
    "charge_already_captured": "already_captured",
    "charge_already_refunded": "already_refunded",
    "charge_disputed": "payment_disputed",
    "charge_exceeds_source_limit": "amount_not_taken",
    "resource_missing": "provider_object_not_found",
    "country_unsupported": "provider_refused_request",
}
_STATE_REFUSALS = {
    ProviderOperation.CAPTURE: "payment_not_capturable",
    ProviderOperation.VOID: "payment_not_voidable",
    ProviderOperation.CANCEL_PAYOUT: "payout_not_cancelable",
    ProviderOperation.REFUND: "payment_not_refundable",
}
_UNEXPECTED_STATE = frozenset({"payment_intent_unexpected_state", "charge_not_refundable"})


def card_decline(error: CardError) -> Declined:
    """The decline of a card payment; the issuer's word wins over Stripe's own."""
    word = error.decline_code or error.code
    code = _DECLINES.get(error.decline_code or "") or _DECLINES.get(error.code or "")
    code = code or "card_declined"
    return Declined(
        code=code,
        message=_MESSAGES[code],
        provider_code=word,
        retryable_elsewhere=word in _ELSEWHERE,
    )


def refusal_code(vendor_code: str | None, operation: ProviderOperation) -> str:
    """Our code for a request that Stripe refused without doing anything."""
    if vendor_code in _UNEXPECTED_STATE and operation in _STATE_REFUSALS:
        return _STATE_REFUSALS[operation]
    return _REFUSALS.get(vendor_code or "", "provider_refused_request")
