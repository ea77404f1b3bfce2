"""A conformance run against a live provider: what `recompense providers check` does.

It moves the smallest amounts that the provider takes, so it belongs on a test account. What a
provider cannot do is told as such, and is not left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    AuthorizeCall,
    Capabilities,
    Declined,
    LookupAnswer,
    Outcome,
    Pending,
    ProviderOperation,
    ProviderPort,
    RequiresAction,
    WebhookRefused,
)
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAnswerMismatch,
    ProviderUnavailable,
    RecompenseError,
)
from recompense.ops.bank_rail_check import BankRailCheck
from recompense.ops.check_calls import AMOUNT, CheckCalls, CheckOptions, made
from recompense.ops.check_results import Check, CheckResult, NotAsked, Unexpected, expect, result_of
from recompense.ops.faulty_network import Fault, FaultyNetwork

_MONEY = (
    ProviderOperation.AUTHORIZE,
    ProviderOperation.CAPTURE,
    ProviderOperation.VOID,
    ProviderOperation.REFUND,
    ProviderOperation.CREATE_PAYOUT,
)
_SHOWN_WITHIN_SECONDS = 30.0


class ProviderCheck:
    """The checks, each on operations of its own."""

    def __init__(
        self,
        port: ProviderPort,
        capabilities: Capabilities,
        options: CheckOptions,
        network: FaultyNetwork | None,
    ) -> None:
        self._port = port
        self._can = capabilities
        self._options = options
        self._network = network
        self._calls = CheckCalls(port, options)

    async def run(self) -> tuple[CheckResult, ...]:
        """Run every check, whatever the others said. Raises nothing that a provider can cause."""
        return tuple([await result_of(name, check) for name, check in self._checks()])

    def _checks(self) -> Iterator[tuple[str, Check]]:
        for operation in _MONEY:
            word = str(operation).replace("_", " ")
            for what, check in (
                ("is taken, and a look-up finds it", self._is_found),
                ("under the same key again is one effect", self._same_key),
                ("is unknown when its answer is lost, and found", self._lost(Fault.LOST_ANSWER)),
                ("is unknown when the answer is nonsense", self._lost(Fault.NONSENSE)),
                ("is unavailable when nobody listens, and not made", self._unsent(Fault.REFUSED)),
                ("is unavailable after a 429, and not made", self._unsent(Fault.OVERLOADED)),
                ("after its send right is not sent", self._send_right),
            ):
                yield f"{word} {what}", self._of(operation, check)
        yield "a key with another amount is a mismatch", self._reused_key
        yield "a look-up does not find another attempt's effect", self._other_attempt
        yield "a refused card is declined", self._decline
        yield "a payer who has to act is sent to a page, and a look-up says so", self._payer_action
        yield "a payer who never acts is given up by a void", self._payer_given_up
        yield "partial captures add up, and no more", self._partial_captures
        yield "a capture after a void is declined", self._void
        yield "an unsigned webhook is refused", self._webhook

    def _of(
        self, operation: ProviderOperation, check: Callable[[ProviderOperation], Awaitable[None]]
    ) -> Check:
        async def asked() -> None:
            self._needs(operation)
            await check(operation)

        return asked

    async def _is_found(self, operation: ProviderOperation) -> None:
        call = await self._calls.prepared(operation)
        reference = await self._calls.taken(call)
        self._needs_lookup()
        await self._found(call, lambda answer: made(answer) == reference)

    async def _same_key(self, operation: ProviderOperation) -> None:
        self._needs_idempotency()
        call = await self._calls.prepared(operation)
        first, again = await self._calls.taken(call), await self._calls.taken(call)
        expect(first == again, f"first {first}, then {again}")

    def _lost(self, fault: Fault) -> Callable[[ProviderOperation], Awaitable[None]]:
        async def check(operation: ProviderOperation) -> None:
            call = await self._calls.prepared(operation)
            await self._meets(fault, call, OutcomeUnknown)
            self._needs_lookup()
            await self._found(call, lambda answer: made(answer) is not None)

        return check

    def _unsent(self, fault: Fault) -> Callable[[ProviderOperation], Awaitable[None]]:
        async def check(operation: ProviderOperation) -> None:
            call = await self._calls.prepared(operation)
            await self._meets(fault, call, ProviderUnavailable)
            self._needs_lookup()
            answer = await self._calls.look_up(call)
            expect(isinstance(answer, Absent), answer.kind)

        return check

    async def _send_right(self, operation: ProviderOperation) -> None:
        call = await self._calls.prepared(operation)
        late = call.model_copy(update={"send_by": call.send_by - timedelta(hours=1)})
        await self._raises(ProviderUnavailable, self._calls.make(late))

    async def _reused_key(self) -> None:
        self._needs_idempotency()
        call = await self._calls.prepared(self._first())
        await self._calls.taken(call)
        again = self._calls.make(call.model_copy(update={"amount": AMOUNT + 1}))
        await self._raises(ProviderAnswerMismatch, again)

    async def _other_attempt(self) -> None:
        self._needs_lookup()
        call = await self._calls.prepared(self._first())
        await self._calls.taken(call)
        other = call.model_copy(update={"effect_key": call.effect_key.removesuffix("1") + "2"})
        answer = await self._calls.look_up(other)
        expect(isinstance(answer, Absent), answer.kind)

    async def _decline(self) -> None:
        self._needs(ProviderOperation.AUTHORIZE)
        outcome = await self._calls.make(self._calls.authorize(self._options.declined_token))
        expect(isinstance(outcome, Declined), outcome.kind)

    async def _payer_action(self) -> None:
        call, _ = await self._payer_asked()
        self._needs_lookup()
        await self._found(call, lambda answer: isinstance(answer, RequiresAction))

    async def _payer_given_up(self) -> None:
        self._needs(ProviderOperation.VOID)
        call, reference = await self._payer_asked()
        await self._calls.taken(self._calls.void(reference))
        self._needs_lookup()
        await self._found(call, lambda answer: isinstance(answer, Declined))

    async def _payer_asked(self) -> tuple[AuthorizeCall, str]:
        self._needs(ProviderOperation.AUTHORIZE)
        if not self._options.action_token:
            raise NotAsked("no card was named whose payer has to act")
        call = self._calls.authorize(self._options.action_token)
        outcome = await self._calls.make(call)
        if not isinstance(outcome, RequiresAction):
            raise Unexpected(outcome.kind)
        return call, outcome.reference

    async def _partial_captures(self) -> None:
        self._needs(ProviderOperation.CAPTURE)
        if not self._can.multiple_capture:
            raise NotAsked("it captures an authorization once")
        authorization = await self._calls.taken(self._calls.authorize())
        for amount in (AMOUNT // 2, AMOUNT - AMOUNT // 2):
            await self._calls.taken(self._calls.capture(authorization, amount))
        over = await self._calls.make(self._calls.capture(authorization, AMOUNT))
        expect(isinstance(over, Declined | Pending), over.kind)

    async def _void(self) -> None:
        self._needs(ProviderOperation.CAPTURE)
        void = await self._voided()
        outcome = await self._calls.make(self._calls.capture(void, AMOUNT))
        expect(isinstance(outcome, Declined | Pending), outcome.kind)

    async def _voided(self) -> str:
        self._needs(ProviderOperation.VOID)
        authorization = await self._calls.taken(self._calls.authorize())
        await self._calls.taken(self._calls.void(authorization))
        return authorization

    async def _webhook(self) -> None:
        if not self._can.webhook_events:
            raise NotAsked("it sends no webhooks")
        try:
            event = self._port.verify_webhook({}, b"{}")
        except WebhookRefused:
            return
        raise Unexpected(event.event_type)

    # What a check leans on

    def _first(self) -> ProviderOperation:
        return next(operation for operation in _MONEY if operation in self._can.operations)

    def _needs(self, operation: ProviderOperation) -> None:
        if operation not in self._can.operations:
            raise NotAsked(f"it does not offer {str(operation).replace('_', ' ')}")

    def _needs_lookup(self) -> None:
        if not self._can.lookup_by_reference:
            raise NotAsked("it cannot be asked by our reference")
        if self._can.truth_by_webhook:
            raise NotAsked("webhooks tell what became of it, and this check receives none")

    def _needs_idempotency(self) -> None:
        if not self._can.native_idempotency:
            raise NotAsked("it honours no idempotency key")

    async def _meets(
        self, fault: Fault, call: AnyMoneyCall, failure: type[RecompenseError]
    ) -> None:
        if self._network is None:
            raise NotAsked("its network cannot be made to fail")
        self._network.meet(fault)
        try:
            await self._raises(failure, self._calls.make(call))
        finally:
            self._network.fault = None
        if not self._network.fired:
            raise NotAsked("it is not reached by HTTP")

    async def _raises(self, failure: type[RecompenseError], outcome: Awaitable[Outcome]) -> None:
        try:
            told = await outcome
        except failure:
            return
        raise Unexpected(told.kind)

    async def _found(self, call: AnyMoneyCall, holds: Callable[[LookupAnswer], bool]) -> None:
        """Look up until it holds: a provider's index may lag behind."""
        answer = await self._calls.look_up(call)
        give_up_at = asyncio.get_running_loop().time() + _SHOWN_WITHIN_SECONDS
        while not holds(answer):
            if asyncio.get_running_loop().time() > give_up_at:
                raise Unexpected(f"a look-up says {answer.kind}")
            await asyncio.sleep(0.5)
            answer = await self._calls.look_up(call)


async def check_provider(
    port: ProviderPort,
    capabilities: Capabilities,
    options: CheckOptions | None = None,
    network: FaultyNetwork | None = None,
) -> tuple[CheckResult, ...]:
    """Check a live provider through its adapter, whose transport runs over `network`. A bank rail
    has checks of its own.
    """
    asked_with = options or CheckOptions()
    if capabilities.batch_payouts:
        return await BankRailCheck(port, asked_with).run()
    return await ProviderCheck(port, capabilities, asked_with, network).run()
