"""Money calls in the suite's words: each operation, ready to be made against a fresh object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.registry import build
from adapters.transport import ObservedTransport
from recompense.contracts.provider import (
    AnyMoneyCall,
    Approved,
    AuthorizeCall,
    CallRecord,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Found,
    LookupAnswer,
    Outcome,
    Pending,
    ProviderOperation,
    ProviderPort,
    RefundCall,
    VoidCall,
)
from recompense.domain.effects import effect_key
from recompense.domain.ids import IdPrefix, new_id
from tests.conformance.targets import Target

PATIENT: dict[str, Any] = {"read_timeout_seconds": 10, "start_to_close_seconds": 15}
"""Long enough for a busy machine: a timeout is never the reason of what a test sees."""

HASTY: dict[str, Any] = {"read_timeout_seconds": 0.25, "connect_timeout_seconds": 0.25}
"""Gives up soon: for tests in which the vendor never answers."""

AMOUNT = 1_000
MONEY_OPERATIONS = [
    ProviderOperation.AUTHORIZE,
    ProviderOperation.CAPTURE,
    ProviderOperation.VOID,
    ProviderOperation.REFUND,
    ProviderOperation.CREATE_PAYOUT,
]
VENDOR_WORD = {operation: operation.value for operation in MONEY_OPERATIONS} | {
    ProviderOperation.CREATE_PAYOUT: "payout"
}
"""How the vendor's control surface and effects log name an operation."""


@dataclass
class Bench:
    """The adapter under test, its vendor, and the record of its calls."""

    target: Target
    transport: ObservedTransport
    records: list[CallRecord]
    timeouts: dict[str, Any]

    def adapter(
        self, timeouts: dict[str, Any] | None = None, base_url: str | None = None
    ) -> ProviderPort:
        """The adapter, with the timeouts that a test needs, at the vendor's address or another."""
        overrides = {"calls": {"*": {"schedule_to_close_seconds": 600, **(timeouts or PATIENT)}}}
        overrides["calls"]["report"] = {"start_to_close_seconds": 300}
        return build(
            self.target.name,
            self.target.config(base_url),
            transport=self.transport,
            overrides=overrides,
        ).port

    async def prepared(self, operation: ProviderOperation) -> AnyMoneyCall:
        """A call of this operation that will succeed, with all that must exist before it made."""
        makers: dict[ProviderOperation, Callable[[], Awaitable[AnyMoneyCall]]] = {
            ProviderOperation.AUTHORIZE: self._authorize,
            ProviderOperation.CAPTURE: self._capture,
            ProviderOperation.VOID: self._void,
            ProviderOperation.REFUND: self._refund,
            ProviderOperation.CREATE_PAYOUT: self._create_payout,
        }
        return await makers[operation]()

    async def make(self, call: AnyMoneyCall, adapter: ProviderPort | None = None) -> Outcome:
        """Make a call through the port."""
        port = adapter or self.adapter()
        match call:
            case AuthorizeCall():
                return await port.authorize(call)
            case CaptureCall():
                return await port.capture(call)
            case VoidCall():
                return await port.void(call)
            case RefundCall():
                return await port.refund(call)
            case CreatePayoutCall():
                return await port.create_payout(call)
            case CancelPayoutCall():
                return await port.cancel_payout(call)

    async def look_up(self, call: AnyMoneyCall, adapter: ProviderPort | None = None) -> Found:
        """Ask for the effect of a call."""
        return await (adapter or self.adapter()).lookup(
            operation=call.operation,
            operation_id=call.operation_id,
            effect_key=call.effect_key,
            step=call.operation,
            amount=call.amount,
            currency=call.currency,
        )

    def effects(self, call: AnyMoneyCall) -> list[dict[str, Any]]:
        """The effects that the vendor made under a call's key."""
        made = self.target.vendor.effects(call.operation_id)
        return [effect for effect in made if effect["effect_key"] == call.effect_key]

    def arm(
        self, call: AnyMoneyCall, fault: str, *, times: int = 1, delay_ms: int | None = None
    ) -> None:
        """Script a fault for a call."""
        word = VENDOR_WORD[call.operation]
        self.target.vendor.arm(
            word, fault, times=times, reference=call.operation_id, delay_ms=delay_ms
        )

    def assert_fired(self) -> None:
        """A case counts only if its fault was seen to fire."""
        assert self.target.vendor.fired() > 0

    async def authorized(self) -> str:
        """Make an authorization; returns the vendor's reference."""
        outcome = await self.make(await self._authorize())
        assert isinstance(outcome, Approved)
        return outcome.reference

    async def _authorize(self) -> AuthorizeCall:
        return AuthorizeCall(
            **call_parts(IdPrefix.PAYMENT, "authorize"),
            token=self.target.good_token,
            merchant_id="mer_test",
        )

    async def _capture(self) -> CaptureCall:
        return CaptureCall(
            **call_parts(IdPrefix.CAPTURE, "capture"),
            authorization_reference=await self.authorized(),
            final=False,
        )

    async def _void(self) -> VoidCall:
        return VoidCall(
            **call_parts(IdPrefix.PAYMENT, "void"),
            authorization_reference=await self.authorized(),
        )

    async def _refund(self) -> RefundCall:
        capture = await self._capture()
        assert isinstance(await self.make(capture), Approved)
        return RefundCall(
            **call_parts(IdPrefix.REFUND, "refund"),
            authorization_reference=capture.authorization_reference,
        )

    async def _create_payout(self) -> CreatePayoutCall:
        return CreatePayoutCall(
            **call_parts(IdPrefix.PAYOUT, "payout"),
            token=self.target.good_token,
            merchant_id="mer_test",
        )


def reference_if_made(call: AnyMoneyCall, answer: LookupAnswer) -> str | None:
    """The vendor's reference when the answer says that the effect was made; None otherwise.

    A payout that the vendor has taken is `Pending` until it arrives.
    """
    kinds = (Approved, Pending) if isinstance(call, CreatePayoutCall) else (Approved,)
    return answer.reference if isinstance(answer, kinds) else None


def call_parts(prefix: IdPrefix, step: str) -> dict[str, Any]:
    """What every money call has: a fresh reference and its effect key, an amount, and a minute to
    be sent.
    """
    operation_id = new_id(prefix)
    return {
        "operation_id": operation_id,
        "effect_key": effect_key(operation_id, step, 1),
        "amount": AMOUNT,
        "currency": "EUR",
        "send_by": datetime.now(UTC) + timedelta(minutes=1),
    }
