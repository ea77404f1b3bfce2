"""What becomes of a call: decided by a scripted fault first, then by the magic token, and otherwise
well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recompense.sandbox.faults import ArmedFault, Fault


class Turn(StrEnum):
    """The four ways a call can turn out."""

    TRUE = "true"
    DECLINED = "declined"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"


@dataclass(frozen=True)
class Fate:
    """How one call turns out. `delay_ms` is None where the sandbox's own delay applies."""

    turn: Turn
    decline_code: str | None = None
    delay_ms: int | None = None


DECLINE_MESSAGES = {
    "card_declined": "The issuer declined the card.",
    "insufficient_funds": "The account holds too little.",
    "expired_card": "The card has expired.",
    "authentication_failed": "The payer did not authenticate.",
    "account_closed": "The bank account is closed.",
    "capture_declined": "The capture was refused.",
    "void_declined": "The void was refused.",
    "refund_declined": "The refund was refused.",
    "payout_declined": "The bank refused the payout.",
    "cancellation_declined": "The payout can no longer be cancelled.",
}

_DECLINE_OF_OPERATION = {
    "authorize": "card_declined",
    "capture": "capture_declined",
    "void": "void_declined",
    "refund": "refund_declined",
    "payout": "payout_declined",
    "cancel_payout": "cancellation_declined",
}

_CARD_TOKENS = {
    "tok_declined": Fate(Turn.DECLINED, "card_declined"),
    "tok_insufficient_funds": Fate(Turn.DECLINED, "insufficient_funds"),
    "tok_expired": Fate(Turn.DECLINED, "expired_card"),
    "tok_3ds": Fate(Turn.REQUIRES_ACTION),
    "tok_pending": Fate(Turn.PENDING),
}
_BANK_TOKENS = {"tok_closed_account": Fate(Turn.DECLINED, "account_closed")}
_TOKENS_OF_OPERATION = {"authorize": _CARD_TOKENS, "payout": _BANK_TOKENS}

LOST_ONCE_TOKEN = "tok_timeout_once"  # noqa: S105 - a magic word, not a secret
RETURNED_TOKEN = "tok_returned"  # noqa: S105 - a magic word, not a secret


def fate_of(operation: str, token: str | None, armed: ArmedFault | None) -> Fate:
    """Decide how this call turns out."""
    if armed is not None:
        if armed.fault is Fault.DECLINE:
            return Fate(Turn.DECLINED, _DECLINE_OF_OPERATION[operation])
        if armed.fault is Fault.INSUFFICIENT_FUNDS:
            return Fate(Turn.DECLINED, "insufficient_funds")
        if armed.fault is Fault.PENDING:
            return Fate(Turn.PENDING, delay_ms=armed.delay_ms)
    return _TOKENS_OF_OPERATION.get(operation, {}).get(token or "", Fate(Turn.TRUE))
