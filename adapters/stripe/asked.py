"""Which effect an answer has to be about, and how it is recognized among Stripe's objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.stripe.amounts import NotExpressible, from_stripe
from recompense.contracts.provider import (
    AnyMoneyCall,
    CancelPayoutCall,
    CaptureCall,
    ProviderOperation,
    RefundCall,
    VoidCall,
)
from recompense.domain.failures import ProviderAnswerMismatch

OPERATION_ID = "operation_id"
EFFECT_KEY = "effect_key"

TAKES_BACK = frozenset({ProviderOperation.VOID, ProviderOperation.CANCEL_PAYOUT})


def marker(operation: ProviderOperation, operation_id: str, effect_key: str) -> str:
    """The metadata key under which the object that an effect made or changed holds its key.

    What an effect made has it under `effect_key`. A payment's captures have one each, named by the
    capture; a void or a cancellation has its own, named by the rest of its effect key, so that no
    other one of the same object hides it. Stripe's metadata keys have 40 characters at the most.
    """
    if operation is ProviderOperation.CAPTURE:
        return operation_id
    if operation in TAKES_BACK:
        return effect_key.removeprefix(f"{operation_id}:")[-40:]
    return EFFECT_KEY


@dataclass(frozen=True)
class Asked:
    """The effect that an answer has to be about.

    `amount` and `currency` are None where the asker does not know them; `target` is the object
    that the effect changes, where it is known.
    """

    operation: ProviderOperation
    operation_id: str
    effect_key: str
    amount: int | None
    currency: str | None
    target: str | None
    several_captures: bool
    retry_after_cap_seconds: float

    @property
    def marker(self) -> str:
        """Where the object holds this effect's key."""
        return marker(self.operation, self.operation_id, self.effect_key)

    def is_about(self, metadata: object) -> bool:
        """Whether an object's metadata say that this effect made or changed it."""
        return isinstance(metadata, Mapping) and metadata.get(self.marker) == self.effect_key

    def check(self, object_id: str | None, metadata: Mapping[str, str]) -> None:
        """Refuse an object of another effect. Raises `ProviderAnswerMismatch`."""
        if not self.is_about(metadata):
            raise ProviderAnswerMismatch("the provider answered about another effect key")
        if self.marker == EFFECT_KEY and metadata.get(OPERATION_ID) != self.operation_id:
            raise ProviderAnswerMismatch("the provider answered about another operation")
        if object_id is not None and self.target is not None and object_id != self.target:
            raise ProviderAnswerMismatch("the provider answered about another object")

    def check_money(self, units: int, currency: str) -> None:
        """Refuse another amount or currency than was asked for. Raises `ProviderAnswerMismatch`."""
        self.check_currency(currency)
        if self.amount is not None and our_amount(units, currency) != self.amount:
            raise ProviderAnswerMismatch("the provider answered about another amount")

    def check_currency(self, currency: str) -> None:
        """Refuse another currency than was asked for. Raises `ProviderAnswerMismatch`."""
        if self.currency is not None and currency.upper() != self.currency:
            raise ProviderAnswerMismatch("the provider answered about another currency")


def our_amount(units: int, currency: str) -> int:
    """Stripe's units in ours. Raises `ProviderAnswerMismatch` where there is no such amount."""
    try:
        return from_stripe(units, currency.upper())
    except (NotExpressible, ValueError) as error:
        raise ProviderAnswerMismatch("the provider's amount is none of its currency") from error


def target_of(call: AnyMoneyCall) -> str | None:
    """The object at Stripe that a call changes."""
    match call:
        case CaptureCall() | VoidCall() | RefundCall():
            return call.authorization_reference
        case CancelPayoutCall():
            return call.payout_reference
        case _:
            return None
