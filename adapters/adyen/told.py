"""What verified notifications say about one effect: a pure fold over what is stored.

Adyen has no call that reads a payment, so this is its look-up. The fold takes the events as a set:
a notification's time is not signed, comes in any order and any number of times, and decides
nothing. What was taken back stays taken back; what contradicts itself is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Literal

from pydantic import Field, ValidationError

from adapters.adyen.refusals import ABANDONED, card_decline, plain_decline, transfer_decline
from adapters.adyen.shapes import Psp, Vendor, VendorAmount
from adapters.adyen.translate import TRANSFER_REFUSED, check_amount
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
    Found,
    LookupAnswer,
    PayoutState,
    Pending,
    ProviderEvent,
    ProviderOperation,
    Unknown,
)
from recompense.domain.failures import ProviderAnswerMismatch

_CONTRADICTION = Unknown(why="the provider's notifications contradict each other")


class Told(Vendor):
    """One notification as it is kept: `word` is an event code or a transfer's status."""

    source: Literal["payment", "transfer"]
    word: str = Field(pattern=r"^[A-Za-z_]{1,64}$")
    success: bool = True
    object: Psp
    original: Psp | None = None
    amount: VendorAmount | None = None
    reason: str | None = None

    @property
    def fact(self) -> tuple[str, bool]:
        """What it says, without about what."""
        return self.word, self.success


_MADE = {
    ProviderOperation.AUTHORIZE: ("AUTHORISATION",),
    ProviderOperation.CAPTURE: ("CAPTURE",),
    # The second: a void by our own reference.
    ProviderOperation.VOID: ("CANCELLATION", "TECHNICAL_CANCEL"),
    ProviderOperation.REFUND: ("REFUND",),
}
_TAKEN_BACK = {
    ProviderOperation.CAPTURE: {"CAPTURE_FAILED": "capture_reversed"},
    ProviderOperation.REFUND: {
        "REFUND_FAILED": "refund_reversed",
        "REFUNDED_REVERSED": "refund_reversed",
    },
}
_ENDED_AUTHORIZATIONS = {
    "EXPIRE": AuthorizationState.EXPIRED,
    "TECHNICAL_CANCEL": AuthorizationState.VOIDED,
}
_REFUSALS: dict[ProviderOperation, Declined] = {
    ProviderOperation.AUTHORIZE: card_decline(None),
    ProviderOperation.CAPTURE: plain_decline("capture_declined"),
    ProviderOperation.VOID: plain_decline("void_declined"),
    ProviderOperation.REFUND: plain_decline("refund_declined"),
}


def about(
    events: Iterable[ProviderEvent], effect_key: str, reference: str | None
) -> list[ProviderEvent]:
    """The events that tell of an effect: by its key, or by Adyen's own `reference` of it."""
    return [event for event in events if event.effect_key == effect_key or _names(event, reference)]


def _names(event: ProviderEvent, reference: str | None) -> bool:
    one = _told(event) if reference is not None else None
    return one is not None and reference in (one.object, one.original)


def found_in(
    events: Iterable[ProviderEvent],
    operation: ProviderOperation,
    amount: int | None,
    currency: str | None,
) -> Found:
    """What is known of one effect, from the events stored under its key. None of them: `Absent`.

    Raises `ProviderAnswerMismatch` when they tell of another amount or currency than was asked, or
    of more than one object.
    """
    source = "transfer" if operation is ProviderOperation.CREATE_PAYOUT else "payment"
    told = [one for one in map(_told, events) if one is not None and one.source == source]
    if source == "transfer":
        return _transfer(told, amount, currency)
    if operation not in _MADE:
        return Found(answer=Absent())
    # A void's notification may tell the amount that was authorized, of which we void what is left.
    known_amount = None if operation is ProviderOperation.VOID else amount
    answer = _payment(told, operation, lambda one: _check(one, known_amount, currency))
    state = _authorization(told, answer) if operation is ProviderOperation.AUTHORIZE else None
    return Found(answer=answer, authorization_state=state)


def _told(event: ProviderEvent) -> Told | None:
    try:
        return Told.model_validate(event.payload)
    except ValidationError:
        return None


def _payment(
    told: Collection[Told], operation: ProviderOperation, check: Callable[[Told], None]
) -> LookupAnswer:
    facts = {one.fact for one in told}
    tellers = [one for one in told if one.word in _MADE[operation] and one.success]
    refused = any(one.word in _MADE[operation] and not one.success for one in told)
    for word, code in _TAKEN_BACK.get(operation, {}).items():
        if (word, True) in facts:
            return plain_decline(code)
    if tellers and refused:
        return _CONTRADICTION
    if tellers:
        for one in tellers:
            check(one)
        return Approved(reference=_only_object(tellers))
    if refused:
        return _REFUSALS[operation]
    if operation is ProviderOperation.AUTHORIZE:
        return _not_authorized(told, facts)
    return Absent()


def _not_authorized(told: Collection[Told], facts: Collection[tuple[str, bool]]) -> LookupAnswer:
    if ("OFFER_CLOSED", True) in facts:
        return ABANDONED
    pending = [one for one in told if one.word == "PENDING"]
    return Pending(reference=_only_object(pending)) if pending else Absent()


def _authorization(told: Iterable[Told], answer: LookupAnswer) -> AuthorizationState | None:
    if isinstance(answer, Declined):
        return AuthorizationState.DECLINED
    if isinstance(answer, Pending):
        return AuthorizationState.PENDING
    if not isinstance(answer, Approved):
        return None
    ended = (_ENDED_AUTHORIZATIONS.get(one.word) for one in told if one.success)
    return next(filter(None, ended), AuthorizationState.AUTHORIZED)


def _transfer(told: Collection[Told], amount: int | None, currency: str | None) -> Found:
    if not told:
        return Found(answer=Absent())
    for one in told:
        _check(one, amount, currency)
    reference, words = _only_object(told), {one.word for one in told}
    refused = [one for one in told if one.word in TRANSFER_REFUSED]
    if "returned" in words:
        return Found(answer=Approved(reference=reference), payout_state=PayoutState.RETURNED)
    if "booked" in words and (refused or "cancelled" in words):
        return Found(answer=_CONTRADICTION)
    if "booked" in words:
        return Found(answer=Approved(reference=reference), payout_state=PayoutState.PAID)
    if refused:
        answer = transfer_decline(refused[0].reason)
        return Found(answer=answer, payout_state=PayoutState.FAILED)
    if "cancelled" in words:
        canceled = Declined(code="payout_canceled", message="It was canceled.")
        return Found(answer=canceled, payout_state=PayoutState.CANCELED)
    return Found(answer=Pending(reference=reference), payout_state=PayoutState.IN_TRANSIT)


def _check(one: Told, amount: int | None, currency: str | None) -> None:
    if one.amount is None:
        raise ProviderAnswerMismatch("the provider tells of money without an amount")
    check_amount(one.amount, amount, currency)


def _only_object(told: Iterable[Told]) -> str:
    objects = {one.object for one in told}
    if len(objects) != 1:
        raise ProviderAnswerMismatch("the provider made more than one object under one effect key")
    return objects.pop()
