"""The money calls of a provider check, each on an operation of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from recompense.contracts.port_extras import ReadsEvents
from recompense.contracts.provider import (
    AnyMoneyCall,
    Approved,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    LookupAnswer,
    Outcome,
    Pending,
    ProviderOperation,
    ProviderPort,
    RefundCall,
    VoidCall,
)
from recompense.domain.effects import effect_key
from recompense.domain.failures import OutcomeUnknown
from recompense.domain.ids import IdPrefix, new_id

AMOUNT = 200
_COMES_TRUE_SECONDS = 60.0


@dataclass(frozen=True)
class CheckOptions:
    """What the account is asked with. `action_token` is of a card whose payer has to act."""

    good_token: str = "tok_ok"  # noqa: S105 - a magic word, not a secret
    declined_token: str = "tok_declined"  # noqa: S105 - a magic word, not a secret
    account_token: str = "tok_ok"  # noqa: S105 - a magic word, not a secret
    currency: str = "EUR"
    action_token: str | None = None


def made(answer: LookupAnswer) -> str | None:
    """The provider's reference when it has made the effect, or has taken it up."""
    return answer.reference if isinstance(answer, Approved | Pending) else None


class CheckCalls:
    """Makes calls, with all that must exist before them."""

    def __init__(self, port: ProviderPort, options: CheckOptions) -> None:
        self._port = port
        self._options = options

    async def prepared(self, operation: ProviderOperation) -> AnyMoneyCall:
        """A call of this operation that should succeed."""
        makers: dict[ProviderOperation, Callable[[], Awaitable[AnyMoneyCall]]] = {
            ProviderOperation.CAPTURE: self._capture,
            ProviderOperation.VOID: self._void,
            ProviderOperation.REFUND: self._refund,
        }
        if operation is ProviderOperation.AUTHORIZE:
            return self.authorize()
        if operation is ProviderOperation.CREATE_PAYOUT:
            return self.payout()
        return await makers[operation]()

    async def taken(self, call: AnyMoneyCall) -> str:
        """Make a call that has to be approved, or to be on its way; the provider's reference."""
        outcome = await self.make(call)
        reference = made(outcome)
        if reference is None:
            raise OutcomeUnknown(f"the provider answered {outcome.kind}")
        return reference

    async def come_true(self, call: AnyMoneyCall) -> str:
        """Make a call, and wait until it is approved. One that only a webhook tells of is taken for
        true: this check receives none.
        """
        reference = await self.taken(call)
        if isinstance(self._port, ReadsEvents):
            return reference
        async with asyncio.timeout(_COMES_TRUE_SECONDS):
            while not isinstance(await self.look_up(call), Approved):
                await asyncio.sleep(0.5)
        return reference

    async def make(self, call: AnyMoneyCall) -> Outcome:
        """Make a call through the port."""
        match call:
            case AuthorizeCall():
                return await self._port.authorize(call)
            case CaptureCall():
                return await self._port.capture(call)
            case VoidCall():
                return await self._port.void(call)
            case RefundCall():
                return await self._port.refund(call)
            case CreatePayoutCall():
                return await self._port.create_payout(call)
            case CancelPayoutCall():
                return await self._port.cancel_payout(call)

    async def look_up(self, call: AnyMoneyCall) -> LookupAnswer:
        """Ask for the effect of a call."""
        found = await self._port.lookup(
            operation=call.operation,
            operation_id=call.operation_id,
            effect_key=call.effect_key,
            step=call.operation,
        )
        return found.answer

    def authorize(self, token: str | None = None) -> AuthorizeCall:
        """An authorization of the good card, or another."""
        return AuthorizeCall(
            **self._call(IdPrefix.PAYMENT, "authorize"),
            token=token or self._options.good_token,
            merchant_id="mer_provider_check",
        )

    def capture(self, authorization: str, amount: int) -> CaptureCall:
        """A capture of a part."""
        return CaptureCall(
            **{**self._call(IdPrefix.CAPTURE, "capture"), "amount": amount},
            authorization_reference=authorization,
            final=False,
        )

    def void(self, authorization: str) -> VoidCall:
        """A void of the whole authorization."""
        return VoidCall(
            **self._call(IdPrefix.PAYMENT, "void"), authorization_reference=authorization
        )

    def payout(self) -> CreatePayoutCall:
        """A payout to the good account."""
        return CreatePayoutCall(
            **self._call(IdPrefix.PAYOUT, "payout"),
            token=self._options.account_token,
            merchant_id="mer_provider_check",
        )

    async def _capture(self) -> CaptureCall:
        authorization = await self.taken(self.authorize())
        return self.capture(authorization, AMOUNT).model_copy(update={"final": True})

    async def _void(self) -> VoidCall:
        return self.void(await self.taken(self.authorize()))

    async def _refund(self) -> RefundCall:
        capture = await self._capture()
        return RefundCall(
            **self._call(IdPrefix.REFUND, "refund"),
            authorization_reference=capture.authorization_reference,
            capture_reference=await self.come_true(capture),
        )

    def _call(self, prefix: IdPrefix, step: str) -> dict[str, Any]:
        operation_id = new_id(prefix)
        return {
            "operation_id": operation_id,
            "effect_key": effect_key(operation_id, step, 1),
            "amount": AMOUNT,
            "currency": self._options.currency,
            "send_by": datetime.now(UTC) + timedelta(seconds=30),
        }
