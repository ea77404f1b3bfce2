"""A short conformance run against a live provider: what `recompense providers check` does.

It moves the smallest amounts that the provider takes, so it belongs on a test account.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizeCall,
    CaptureCall,
    Declined,
    Outcome,
    ProviderOperation,
    ProviderPort,
    RefundCall,
    VoidCall,
    WebhookRefused,
)
from recompense.domain.effects import effect_key
from recompense.domain.failures import ProviderAnswerMismatch, ProviderUnavailable, RecompenseError
from recompense.domain.ids import IdPrefix, new_id

_AMOUNT = 200


@dataclass(frozen=True)
class CheckOptions:
    """What the account is asked with."""

    good_token: str = "tok_ok"  # noqa: S105 - a magic word, not a secret
    declined_token: str = "tok_declined"  # noqa: S105 - a magic word, not a secret
    currency: str = "EUR"


@dataclass(frozen=True)
class CheckResult:
    """One check: what must hold, and what was seen when it did not."""

    name: str
    passed: bool
    seen: str = ""


class _Unexpected(Exception):
    """The provider did something else than the check demands."""


class ProviderCheck:
    """The checks, each on operations of its own."""

    def __init__(self, port: ProviderPort, options: CheckOptions) -> None:
        self._port = port
        self._options = options

    async def run(self) -> tuple[CheckResult, ...]:
        """Run every check, whatever the others said. Raises nothing that a provider can cause."""
        checks: dict[str, Callable[[], Awaitable[None]]] = {
            "an authorization is approved, and its key again gives the same": self._same_key,
            "a key with another amount is a mismatch": self._reused_key,
            "a refused card is declined": self._decline,
            "a look-up finds an effect, and not that of another attempt": self._lookup,
            "a capture and its refund are approved": self._capture_and_refund,
            "a void is approved, and a capture after it is not": self._void,
            "a call after its send right is not sent": self._send_right,
            "an unsigned webhook is refused": self._webhook,
        }
        return tuple([await _result(name, check) for name, check in checks.items()])

    async def _same_key(self) -> None:
        call = self._authorization()
        first = await self._approved(self._port.authorize(call))
        again = await self._approved(self._port.authorize(call))
        _expect(first == again, f"first {first}, then {again}")

    async def _reused_key(self) -> None:
        call = self._authorization()
        await self._approved(self._port.authorize(call))
        try:
            outcome = await self._port.authorize(call.model_copy(update={"amount": _AMOUNT + 1}))
        except ProviderAnswerMismatch:
            return
        raise _Unexpected(outcome.kind)

    async def _decline(self) -> None:
        call = self._authorization(self._options.declined_token)
        outcome = await self._port.authorize(call)
        _expect(isinstance(outcome, Declined), outcome.kind)

    async def _lookup(self) -> None:
        call = self._authorization()
        reference = await self._approved(self._port.authorize(call))
        made = await self._look_up(call, call.effect_key)
        _expect(isinstance(made, Approved) and made.reference == reference, str(made))
        other = await self._look_up(call, effect_key(call.operation_id, "authorize", 2))
        _expect(isinstance(other, Absent), str(other))

    async def _capture_and_refund(self) -> None:
        authorization = await self._approved(self._port.authorize(self._authorization()))
        capture = CaptureCall(
            **self._call(IdPrefix.CAPTURE, "capture"),
            authorization_reference=authorization,
            final=True,
        )
        captured = await self._approved(self._port.capture(capture))
        refund = RefundCall(
            **self._call(IdPrefix.REFUND, "refund"),
            authorization_reference=authorization,
            capture_reference=captured,
        )
        await self._approved(self._port.refund(refund))

    async def _void(self) -> None:
        authorization = await self._approved(self._port.authorize(self._authorization()))
        void = VoidCall(
            **self._call(IdPrefix.PAYMENT, "void"), authorization_reference=authorization
        )
        await self._approved(self._port.void(void))
        capture = CaptureCall(
            **self._call(IdPrefix.CAPTURE, "capture"),
            authorization_reference=authorization,
            final=False,
        )
        outcome = await self._port.capture(capture)
        _expect(isinstance(outcome, Declined), outcome.kind)

    async def _send_right(self) -> None:
        expired = datetime.now(UTC) - timedelta(seconds=1)
        call = self._authorization().model_copy(update={"send_by": expired})
        try:
            outcome = await self._port.authorize(call)
        except ProviderUnavailable:
            return
        raise _Unexpected(outcome.kind)

    async def _webhook(self) -> None:
        try:
            event = self._port.verify_webhook({}, b"{}")
        except WebhookRefused:
            return
        raise _Unexpected(event.event_type)

    async def _approved(self, answer: Awaitable[Outcome]) -> str:
        outcome = await answer
        if not isinstance(outcome, Approved):
            raise _Unexpected(outcome.kind)
        return outcome.reference

    async def _look_up(self, call: AuthorizeCall, key: str) -> object:
        found = await self._port.lookup(
            operation=ProviderOperation.AUTHORIZE,
            operation_id=call.operation_id,
            effect_key=key,
            step="authorize",
        )
        return found.answer

    def _authorization(self, token: str | None = None) -> AuthorizeCall:
        return AuthorizeCall(
            **self._call(IdPrefix.PAYMENT, "authorize"),
            token=token or self._options.good_token,
            merchant_id="mer_provider_check",
        )

    def _call(self, prefix: IdPrefix, step: str) -> dict[str, Any]:
        operation_id = new_id(prefix)
        return {
            "operation_id": operation_id,
            "effect_key": effect_key(operation_id, step, 1),
            "amount": _AMOUNT,
            "currency": self._options.currency,
            "send_by": datetime.now(UTC) + timedelta(seconds=30),
        }


async def check_provider(
    port: ProviderPort, options: CheckOptions | None = None
) -> tuple[CheckResult, ...]:
    """Check a live provider through its adapter."""
    return await ProviderCheck(port, options or CheckOptions()).run()


async def _result(name: str, check: Callable[[], Awaitable[None]]) -> CheckResult:
    try:
        await check()
    except _Unexpected as unexpected:
        return CheckResult(name, False, str(unexpected))
    except RecompenseError as failure:
        return CheckResult(name, False, f"{type(failure).__name__}: {failure}")
    return CheckResult(name, True)


def _expect(holds: bool, seen: str) -> None:
    if not holds:
        raise _Unexpected(seen)
