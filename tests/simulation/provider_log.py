"""The provider's own log of effects, what fails there, and how it behaves otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from recompense.contracts.provider import (
    AnyMoneyCall,
    Approved,
    AuthorizationState,
    CancelPayoutCall,
    CaptureCall,
    Declined,
    PayoutState,
    Pending,
    ProviderOperation,
    RefundCall,
    RequiresAction,
    VoidCall,
)


@dataclass
class Effect:
    """One entry of the provider's own log.

    `status` is made, pending, requires_action, declined or taken back.
    """

    operation: ProviderOperation
    operation_id: str
    effect_key: str
    amount: int
    currency: str
    reference: str
    status: str
    made_at: datetime
    shown_by: datetime
    parent: str | None = None
    closed: bool = False
    visible_at: datetime | None = None
    payout_state: PayoutState | None = None
    late: bool = False
    forgotten: bool = False
    """The provider does not know it any more: only its settlement report does."""

    @property
    def stands(self) -> bool:
        """Whether money was moved by it, and has not come back."""
        return self.status == "made"


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the n-th call of one kind, from 1, and with so many after it."""

    kind: str
    call: str
    nth: int = 1
    times: int = 1

    def hits(self, call: str, count: int) -> bool:
        """Whether it hits this call."""
        return call == self.call and self.nth <= count < self.nth + self.times


@dataclass
class Habits:
    """How the provider behaves where nothing goes wrong."""

    final_word: str = "at once"
    """`at once`; `approved`, `declined`: pending first; `never`: pending for ever."""
    action: str = "none"
    """`none`; `completed`, `failed`, `ignored`: the payer has to act first."""
    webhook_after_seconds: float | None = None
    webhook_copies: int = 1
    webhook_names_key: bool = True
    declines: ProviderOperation | None = None
    payout_end: PayoutState = PayoutState.PAID
    settles_after_seconds: float = 4.0
    """When the final word on a pending effect falls."""
    answer_travels_seconds: float = 0.0
    """How long the answer to a money call is on its way after what it says was true."""
    still_running_seconds: float = 0.0
    clock_behind_seconds: float = 0.0
    """How long the first money call hangs before it is written: a stopped process."""


def told(effect: Effect) -> Approved | Declined | Pending | RequiresAction:
    """What the provider answers about an effect."""
    if effect.status == "declined":
        return Declined(code="card_declined", message="The provider declined it.")
    if effect.status == "pending":
        return Pending(reference=effect.reference)
    if effect.status == "requires_action":
        return RequiresAction(reference=effect.reference, redirect_url="https://pay.example/3ds")
    if effect.status == "taken back" and effect.operation is ProviderOperation.CREATE_PAYOUT:
        return Declined(code="payout_canceled", message="It was canceled.")
    return Approved(reference=effect.reference)


def authorization_state(effect: Effect) -> AuthorizationState | None:
    """Where an authorization stands."""
    if effect.operation is not ProviderOperation.AUTHORIZE:
        return None
    taken_back = effect.status == "taken back"
    return AuthorizationState.VOIDED if taken_back else AuthorizationState.AUTHORIZED


def parent_of(call: AnyMoneyCall) -> str | None:
    """The object that a call is about."""
    if isinstance(call, CancelPayoutCall):
        return call.payout_reference
    if isinstance(call, CaptureCall | VoidCall | RefundCall):
        return call.authorization_reference
    return None


def referenced(effects: Sequence[Effect], reference: str) -> Effect | None:
    """The effect that the provider knows by this reference."""
    return next((effect for effect in effects if effect.reference == reference), None)


def taken(effects: Sequence[Effect], reference: str) -> int:
    """What captures and voids have taken of an authorization."""
    captured = total(effects, ProviderOperation.CAPTURE, reference)
    return captured + total(effects, ProviderOperation.VOID, reference)


def total(effects: Sequence[Effect], operation: ProviderOperation, reference: str) -> int:
    """The sum of one kind of effect on an authorization."""
    return sum(
        effect.amount
        for effect in effects
        if effect.operation is operation
        and effect.parent == reference
        and effect.status in {"made", "pending"}
    )


def rule_against(effects: Sequence[Effect], call: AnyMoneyCall) -> str | None:
    """The provider's own rule that a call breaks."""
    match call:
        case CaptureCall():
            parent = referenced(effects, call.authorization_reference)
            if parent is None or parent.closed or not parent.stands:
                return "payment_not_capturable"
            fits = call.amount <= parent.amount - taken(effects, parent.reference)
            return None if fits else "amount_exceeds_capturable"
        case VoidCall():
            return _rule_against_void(effects, referenced(effects, call.authorization_reference))
        case RefundCall():
            captured = total(effects, ProviderOperation.CAPTURE, call.authorization_reference)
            refunded = total(effects, ProviderOperation.REFUND, call.authorization_reference)
            return None if call.amount <= captured - refunded else "amount_exceeds_refundable"
        case CancelPayoutCall():
            payout = referenced(effects, call.payout_reference)
            if payout is None or payout.payout_state is not PayoutState.IN_TRANSIT:
                return "payout_not_cancelable"
    return None


def _rule_against_void(effects: Sequence[Effect], parent: Effect | None) -> str | None:
    if parent is None:
        return "provider_object_not_found"
    if parent.status == "taken back":
        return "already_voided"
    if parent.closed or taken(effects, parent.reference) >= parent.amount:
        return "payment_not_voidable"
    return None
