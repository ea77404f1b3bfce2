"""Shadow mode: a candidate adapter reads what the live one was answered, and its differences are
told. It makes no call and no effect, and its faults reach nobody.

The candidate runs whole, over a transport that sends nothing: the answers that the live adapter got
are handed to it, one for each request that it would make.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeVar

from pydantic import BaseModel

from adapters import registry
from adapters.registration import Provider
from adapters.transport import ObservedTransport, ProviderAnswer, ProviderRequest, noted_answers
from recompense.contracts.provider import (
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Found,
    Outcome,
    ProviderEvent,
    ProviderOperation,
    ProviderPort,
    RefundCall,
    VoidCall,
)
from recompense.domain.failures import RecompenseError

SAME = "same"
_MOST_AT_ONCE = 100
_LONGEST_SECONDS = 2.0

_Told = TypeVar("_Told", bound=BaseModel)
_replayed: ContextVar[list[ProviderAnswer] | None] = ContextVar("replayed_answers", default=None)


class NotAShadow(ValueError):
    """This adapter cannot be a shadow; the message says why."""


class AskedForMore(Exception):
    """The candidate would make a request that the live adapter did not make."""


@dataclass(frozen=True)
class ShadowReport:
    """One comparison. `difference` is `SAME`, or says what the two read differently."""

    live: str
    candidate: str
    operation: ProviderOperation
    effect_key: str
    difference: str


class ReplayTransport(ObservedTransport):
    """A transport without a network: it hands out answers that were received before."""

    def __init__(self) -> None:
        """Make no client: there is nothing to call with."""

    async def call(self, request: ProviderRequest, read: Callable[[ProviderAnswer], Any]) -> Any:  # noqa: ANN401 - what `read` makes of it
        """Let `read` read the next answer. Raises `AskedForMore` when there is none."""
        answers = _replayed.get()
        if not answers:
            raise AskedForMore(f"{request.method} for {request.operation}")
        return read(answers.pop(0))

    async def stream(
        self, request: ProviderRequest, check: Callable[[ProviderAnswer], None]
    ) -> AsyncIterator[bytes]:
        """Reports are not shadowed."""
        raise AskedForMore(f"{request.method} for {request.operation}")
        yield b""

    async def aclose(self) -> None:
        """There is nothing to close."""


class ShadowedPort:
    """A live port with a shadow: answers as the live one does, and compares afterwards."""

    def __init__(
        self, live: Provider, candidate: Provider, report: Callable[[ShadowReport], None]
    ) -> None:
        self._live = live
        self._candidate = candidate
        self._report = report
        self._comparing: set[asyncio.Task[None]] = set()

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """As the live adapter."""
        return await self._both(call.operation, call.effect_key, lambda port: port.authorize(call))

    async def capture(self, call: CaptureCall) -> Outcome:
        """As the live adapter."""
        return await self._both(call.operation, call.effect_key, lambda port: port.capture(call))

    async def void(self, call: VoidCall) -> Outcome:
        """As the live adapter."""
        return await self._both(call.operation, call.effect_key, lambda port: port.void(call))

    async def refund(self, call: RefundCall) -> Outcome:
        """As the live adapter."""
        return await self._both(call.operation, call.effect_key, lambda port: port.refund(call))

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """As the live adapter."""
        return await self._both(
            call.operation, call.effect_key, lambda port: port.create_payout(call)
        )

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """As the live adapter."""
        return await self._both(
            call.operation, call.effect_key, lambda port: port.cancel_payout(call)
        )

    async def lookup(self, *, effect_key: str, **asked: Any) -> Found:  # noqa: ANN401 - the port's
        """As the live adapter."""
        return await self._both(
            ProviderOperation.LOOKUP,
            effect_key,
            lambda port: port.lookup(effect_key=effect_key, **asked),
        )

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """By the live adapter alone: secrets differ."""
        return self._live.port.verify_webhook(headers, body)

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """By the live adapter alone."""
        return self._live.port.fetch_settlement_report(report_date)

    async def aclose(self) -> None:
        """Close the live adapter, after the comparisons that are under way."""
        await asyncio.gather(*self._comparing, return_exceptions=True)
        await self._live.port.aclose()

    async def _both(
        self,
        operation: ProviderOperation,
        effect_key: str,
        ask: Callable[[ProviderPort], Awaitable[_Told]],
    ) -> _Told:
        with noted_answers() as answers:
            try:
                told: BaseModel | RecompenseError = await ask(self._live.port)
            except RecompenseError as failure:
                told = failure
        if answers and len(self._comparing) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._compare(operation, effect_key, told, answers, ask))
            self._comparing.add(task)
            task.add_done_callback(self._comparing.discard)
        if isinstance(told, RecompenseError):
            raise told
        return told  # type: ignore[return-value]  # what `ask` told

    async def _compare(
        self,
        operation: ProviderOperation,
        effect_key: str,
        told: BaseModel | RecompenseError,
        answers: list[ProviderAnswer],
        ask: Callable[[ProviderPort], Awaitable[BaseModel]],
    ) -> None:
        _replayed.set(list(answers))
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                read: BaseModel | Exception = await ask(self._candidate.port)
        except Exception as failure:
            read = failure
        names = (self._live.name, self._candidate.name)
        self._report(ShadowReport(*names, operation, effect_key, difference(told, read)))


def difference(live: BaseModel | Exception, candidate: BaseModel | Exception) -> str:
    """What two readings of one answer differ in, in names of kinds and fields; never in values,
    which belong to a payment.
    """
    kinds = _kind(live), _kind(candidate)
    if kinds[0] != kinds[1]:
        return f"{kinds[0]} is read as {kinds[1]}"
    if isinstance(live, Exception) or isinstance(candidate, Exception):
        return SAME
    ours, theirs = live.model_dump(mode="json"), candidate.model_dump(mode="json")
    fields = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    return f"{kinds[0]} differs in {', '.join(fields)}" if fields else SAME


def _kind(told: BaseModel | Exception) -> str:
    answer = told.answer if isinstance(told, Found) else told
    return str(getattr(answer, "kind", type(answer).__name__))


def with_shadow(
    live: Provider,
    candidate: str,
    config: Mapping[str, Any],
    report: Callable[[ShadowReport], None],
) -> Provider:
    """The live provider with a candidate reading beside it. `report` must not raise.

    Raises `NotAShadow`, `UnknownProvider`, or `ValidationError` for a configuration that the
    candidate refuses.
    """
    if not registry.registration(candidate).over_http:
        raise NotAShadow(f"{candidate} sends by other ways than HTTP: it would make effects")
    beside = registry.build(candidate, config, transport=ReplayTransport())
    return replace(live, port=ShadowedPort(live, beside, report))
