"""Money calls in the suite's words: each operation, ready to be made against a fresh object."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from adapters.registry import build, registration
from adapters.transport import ObservedTransport
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.port_extras import ReadsEvents
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
from tests.conformance.targets import Effect, Meaning, Target
from tests.support.fault_proxy import FAULTS, FaultProxy, faulty

PATIENT: dict[str, Any] = {"read_timeout_seconds": 10, "start_to_close_seconds": 15}
"""Long enough for a busy machine: a timeout is never the reason of what a test sees."""

HASTY: dict[str, Any] = {"read_timeout_seconds": 0.25, "connect_timeout_seconds": 2}
"""Gives up soon: for tests in which the vendor never answers."""

AMOUNT = 1_000
MONEY_OPERATIONS = [
    ProviderOperation.AUTHORIZE,
    ProviderOperation.CAPTURE,
    ProviderOperation.VOID,
    ProviderOperation.REFUND,
    ProviderOperation.CREATE_PAYOUT,
]
_COMES_TRUE_SECONDS = 20


@dataclass
class Meeting:
    """An adapter that will meet a fault, and how often it has."""

    adapter: ProviderPort
    fired: Callable[[], int]

    def assert_fired(self) -> None:
        """A case counts only if its fault was seen to fire."""
        assert self.fired() > 0


@dataclass
class Bench:
    """The adapter under test, its vendor, and the record of its calls."""

    target: Target
    transport: ObservedTransport
    records: list[CallRecord]

    @property
    def any_operation(self) -> ProviderOperation:
        """An operation that every case can be asked with: the first that the vendor offers."""
        offered = self.target.capabilities.operations
        return next(operation for operation in MONEY_OPERATIONS if operation in offered)

    @property
    def policies(self) -> ProviderPolicies:
        """The adapter's policies as they are registered."""
        return registration(self.target.provider).policies

    def at(self, base_url: str) -> str:
        """The vendor's address at another server, with its own path."""
        return base_url + urlsplit(self.target.base_url or "").path.rstrip("/")

    def adapter(
        self, timeouts: dict[str, Any] | None = None, base_url: str | None = None
    ) -> ProviderPort:
        """The adapter, with the timeouts that a test needs, at the vendor's address or another."""
        overrides = {"calls": {"*": {"schedule_to_close_seconds": 600, **(timeouts or PATIENT)}}}
        if ProviderOperation.REPORT in self.target.capabilities.operations:
            overrides["calls"]["report"] = {"start_to_close_seconds": 300}
        return build(
            self.target.provider,
            self.target.config(base_url),
            transport=self.transport,
            overrides=overrides,
        ).port

    @contextlib.asynccontextmanager
    async def meeting(
        self,
        call: AnyMoneyCall,
        fault: str,
        *,
        times: int = 1,
        delay_ms: int | None = None,
        lookup: bool = False,
        retry_after: str = "1",
    ) -> AsyncIterator[Meeting]:
        """An adapter whose calls meet a fault: scripted where the stand-in can, and otherwise made
        on the socket. `lookup`: its look-ups meet it, and not its money calls.
        """
        timeouts = HASTY if fault.startswith("timeout") else None
        native = fault in self.target.native_faults and retry_after == "1"
        if native or fault not in FAULTS:
            operation = ProviderOperation.LOOKUP if lookup else call.operation
            self.target.arm(
                operation, fault, times=times, reference=call.operation_id, delay_ms=delay_ms
            )
            yield Meeting(self.adapter(timeouts), self.target.fired)
            return
        assert self.target.base_url is not None
        proxy = FaultProxy(
            self.target.base_url,
            fault,
            lambda method, path: self.target.moves_money(method, path) is not lookup,
            times=times,
            delay_ms=delay_ms or 0,
            retry_after=retry_after,
        )
        async with faulty(proxy) as base_url:
            yield Meeting(self.adapter(timeouts, base_url), lambda: proxy.fired)

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
        port = adapter or self.adapter()
        if isinstance(port, ReadsEvents):
            return port.found_in_events(
                operation=call.operation,
                effect_key=call.effect_key,
                reference=None,
                amount=call.amount,
                currency=call.currency,
                events=self.target.told(self.transport),
            )
        return await port.lookup(
            operation=call.operation,
            operation_id=call.operation_id,
            effect_key=call.effect_key,
            step=call.operation,
            amount=call.amount,
            currency=call.currency,
        )

    async def found(self, call: AnyMoneyCall, holds: Callable[[Found], bool]) -> Found:
        """Look up until what is found holds."""
        async with asyncio.timeout(_COMES_TRUE_SECONDS):
            while not holds(found := await self.look_up(call)):
                await asyncio.sleep(0.05)
        return found

    async def done(self, call: AnyMoneyCall) -> str:
        """Make a call that has to succeed, and wait until it is true; the vendor's reference."""
        outcome = await self.make(call)
        if isinstance(outcome, Pending) and call.operation in self.target.late:
            self.target.settle(call)
            await self.found(call, lambda found: isinstance(found.answer, Approved))
        else:
            assert isinstance(outcome, Approved), outcome
        return outcome.reference

    def effects(self, call: AnyMoneyCall) -> list[Effect]:
        """The effects that the vendor made under a call's key."""
        return self.target.effects(call)

    def reference_if_made(self, call: AnyMoneyCall, answer: LookupAnswer) -> str | None:
        """The vendor's reference when the answer says that it has taken the call; None otherwise.

        What is `late` at this vendor is `Pending` until it comes true.
        """
        late = call.operation in self.target.late
        kinds = (Approved, Pending) if late else (Approved,)
        return answer.reference if isinstance(answer, kinds) else None

    async def authorized(self) -> str:
        """Make an authorization; returns the vendor's reference."""
        return await self.done(await self._authorize())

    def parts(self, prefix: IdPrefix, step: str, *, amount: int = AMOUNT) -> dict[str, Any]:
        """What every money call has: a fresh reference and its effect key, an amount, and a minute
        to be sent.
        """
        operation_id = new_id(prefix)
        return {
            "operation_id": operation_id,
            "effect_key": effect_key(operation_id, step, 1),
            "amount": amount,
            "currency": self.target.currency,
            "send_by": datetime.now(UTC) + timedelta(minutes=1),
        }

    async def _authorize(self) -> AuthorizeCall:
        return AuthorizeCall(
            **self.parts(IdPrefix.PAYMENT, "authorize"),
            token=self.target.tokens[Meaning.GOOD],
            merchant_id="mer_test",
        )

    async def _capture(self) -> CaptureCall:
        return CaptureCall(
            **self.parts(IdPrefix.CAPTURE, "capture"),
            authorization_reference=await self.authorized(),
            final=not self.target.capabilities.multiple_capture,
        )

    async def _void(self) -> VoidCall:
        return VoidCall(
            **self.parts(IdPrefix.PAYMENT, "void"),
            authorization_reference=await self.authorized(),
        )

    async def _refund(self) -> RefundCall:
        capture = await self._capture()
        reference = await self.done(capture)
        return RefundCall(
            **self.parts(IdPrefix.REFUND, "refund"),
            authorization_reference=capture.authorization_reference,
            capture_reference=reference,
        )

    async def _create_payout(self) -> CreatePayoutCall:
        return CreatePayoutCall(
            **self.parts(IdPrefix.PAYOUT, "payout"),
            token=self.target.tokens[Meaning.GOOD_ACCOUNT],
            merchant_id="mer_test",
        )
