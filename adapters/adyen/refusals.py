"""Adyen's reasons for a refusal in our codes.

Source: Adyen's pages "Refusal reasons" (raw codes 2 to 46) and "Transfer reasons".
"""

from __future__ import annotations

from recompense.contracts.provider import Declined

GENERIC = "provider_declined"
ABANDONED = Declined(code="abandoned", message="It was given up before it was made.")
_UNAVAILABLE = "issuer_unavailable"

_CARD_REASONS = {
    **dict.fromkeys(("2", "3", "23", "25", "27"), "card_declined"),
    **dict.fromkeys(("4", "9", "21"), _UNAVAILABLE),
    **dict.fromkeys(("5", "26"), "card_blocked"),
    **dict.fromkeys(("12", "28", "29"), "insufficient_funds"),
    **dict.fromkeys(("11", "38", "39", "42"), "authentication_failed"),
    **dict.fromkeys(("14", "20", "22", "31"), "suspected_fraud"),
    **dict.fromkeys(("17", "18", "19", "24", "32"), "verification_failed"),
    **dict.fromkeys(("15", "16"), "abandoned"),
    "6": "expired_card",
    "8": "invalid_card",
    "10": "card_not_supported",
}
_TRANSFER_REASONS = {
    "counterpartyAccountBlocked": "account_blocked",
    "counterpartyAccountClosed": "account_closed",
    "counterpartyAccountNotFound": "account_not_found",
    "notEnoughBalance": "insufficient_funds",
}
_ELSEWHERE = frozenset({_UNAVAILABLE, "card_not_supported"})
"""Refusals that another provider may not repeat."""

_MESSAGES = {
    "insufficient_funds": "The account holds too little money.",
    "expired_card": "The card has expired.",
    "authentication_failed": "The payer did not authenticate.",
    "abandoned": "It was given up before it was made.",
    "account_closed": "The bank account is closed.",
    "capture_reversed": "The card scheme took the capture back.",
    "refund_reversed": "The refund could not be paid out and came back.",
}


def card_decline(reason_code: str | None) -> Declined:
    """The refusal of a payment. A reason that is not listed is a refusal all the same."""
    return _decline(_CARD_REASONS.get(reason_code or "", GENERIC), reason_code)


def transfer_decline(reason: str | None) -> Declined:
    """The refusal of a transfer."""
    return _decline(_TRANSFER_REASONS.get(reason or "", "payout_declined"), reason)


def plain_decline(code: str) -> Declined:
    """A refusal of which Adyen says no more."""
    return _decline(code, None)


def _decline(code: str, provider_code: str | None) -> Declined:
    return Declined(
        code=code,
        message=_MESSAGES.get(code, "The provider declined it."),
        provider_code=provider_code,
        retryable_elsewhere=code in _ELSEWHERE,
    )
