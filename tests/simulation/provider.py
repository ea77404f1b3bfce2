"""A model of a provider behind the port: effects, effect keys, faults, webhooks.

It stands for adapter and vendor together: tier T1 holds adapters to the same outcomes, fault by
fault. Its log of effects is what the invariants believe.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial

from adapters.sandbox.policy import POLICIES
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Declined,
    Found,
    Outcome,
    PayoutState,
    ProviderEvent,
    ProviderOperation,
    RefundCall,
    VoidCall,
)
from recompense.contracts.settlement import SettlementLine
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)
from tests.simulation.clock import Clock
from tests.simulation.executions import Pause
from tests.simulation.provider_log import (
    Effect,
    Fault,
    Habits,
    authorization_state,
    parent_of,
    referenced,
    rule_against,
    taken,
    told,
    total,
)

LATENCY_SECONDS = 0.1
TIMEOUT_SECONDS = 3.0
TRAVELS_SECONDS = 4.5
ASTRAY_SECONDS = 60.0
WINDOW = timedelta(days=1)
SHOWN_AFTER = timedelta(seconds=POLICIES.absent_is_final_after_seconds)
"""The provider's terms: what can still be sent is shown this long after it could be sent last."""

LOOKUP = "lookup"


class ModelProvider:
    """Implements `ProviderPort`."""

    def __init__(self, clock: Clock, deliver: Callable[[ProviderEvent], None]) -> None:
        self._clock = clock
        self._deliver = deliver
        self.habits = Habits()
        self.faults: list[Fault] = []
        self.fired: list[str] = []
        self.effects: list[Effect] = []
        self.counts: dict[str, int] = {}
        self.reached = 0
        self.sent: list[tuple[str, datetime]] = []
        self.name_of: Callable[[Effect], str] = lambda effect: "model"
        self.on_effect: Callable[[bool, int], None] = lambda sent, count: None
        self._poisoned: set[str] = set()
        self._mismatched: set[str] = set()
        self._events = 0

    def heal(self) -> None:
        """The faults stop, and the provider is itself again."""
        self.faults = []
        self._poisoned.clear()
        self._mismatched.clear()

    # The port

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        """Authorize."""
        return await self._move(call)

    async def capture(self, call: CaptureCall) -> Outcome:
        """Capture."""
        return await self._move(call)

    async def void(self, call: VoidCall) -> Outcome:
        """Void."""
        return await self._move(call)

    async def refund(self, call: RefundCall) -> Outcome:
        """Refund."""
        return await self._move(call)

    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """Pay out."""
        return await self._move(call)

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome:
        """Take a payout back."""
        return await self._move(call)

    async def lookup(
        self,
        *,
        operation: ProviderOperation,
        operation_id: str,
        effect_key: str,
        step: str,
        amount: int | None = None,
        currency: str | None = None,
    ) -> Found:
        """Find one effect."""
        fault = self._fault(LOOKUP)
        await Pause(LATENCY_SECONDS)
        if fault is not None:
            await self._fail_reading(fault)
        effect = self._of(effect_key)
        if fault is not None and fault.kind == "invisible" and self._may_be_hidden(effect):
            return Found(answer=Absent())
        if effect_key in self._mismatched:
            raise ProviderAnswerMismatch("the provider answered about another amount")
        if effect is None or effect.forgotten:
            return Found(answer=Absent())
        if effect.visible_at is not None and effect.visible_at > self._clock.now():
            return Found(answer=Absent())
        return Found(
            answer=told(effect),
            payout_state=effect.payout_state,
            authorization_state=authorization_state(effect),
        )

    def _may_be_hidden(self, effect: Effect | None) -> bool:
        """A look-up may come early. What was taken for something else may never be found."""
        if effect is None or effect.effect_key in self._mismatched:
            return True
        return self._clock.now() < effect.shown_by

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Webhooks do not arrive by HTTP here."""
        raise NotImplementedError

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Reports are not read here."""
        raise NotImplementedError

    def read_settlement_report(self, chunks: object, report_date: date) -> Iterator[SettlementLine]:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to close."""

    async def _move(self, call: AnyMoneyCall) -> Outcome:
        fault = self._fault(call.operation)
        kind = fault.kind if fault else ""
        first = self.counts[call.operation] == 1
        if kind == "F1":
            raise ProviderUnavailable("nothing was sent: ConnectError")
        if first and self.habits.still_running_seconds:
            self.fired.append("still running")
            await Pause(self.habits.still_running_seconds)
        if self._clock.now() - timedelta(seconds=self.habits.clock_behind_seconds) > call.send_by:
            raise ProviderUnavailable("the send right had passed before the request was written")
        self.sent.append((call.effect_key, self._clock.now()))
        await Pause(LATENCY_SECONDS)
        self.on_effect(False, len(self.sent))
        await self._fail_before(kind, call)
        if call.effect_key in self._poisoned:
            raise OutcomeUnknown("the provider answered 500")
        outcome = self._once(call, kind)
        self.reached += 1
        self.on_effect(True, self.reached)
        await self._fail_after(kind, call)
        if self.habits.answer_travels_seconds:
            await Pause(self.habits.answer_travels_seconds)
        return outcome

    def _land(self, call: AnyMoneyCall, *, announced: bool = False) -> None:
        known = self._of(call.effect_key)
        self._once(call, "")
        effect = self._of(call.effect_key)
        if announced and known is None and effect is not None:
            self._announce(effect, always=True)

    async def _fail_before(self, kind: str, call: AnyMoneyCall) -> None:
        match kind:
            case "F2":
                await Pause(TIMEOUT_SECONDS)
                raise OutcomeUnknown("no usable answer: ReadTimeout")
            case "slow":
                # Its bytes travel longer than we listen, though not longer than the terms allow.
                self._clock.after(TRAVELS_SECONDS, lambda: self._land(call))
                await Pause(TIMEOUT_SECONDS)
                raise OutcomeUnknown("no usable answer: ReadTimeout")
            case "astray":
                # Longer than the terms allow: only a webhook tells of it.
                self._clock.after(ASTRAY_SECONDS, lambda: self._land(call, announced=True))
                await Pause(TIMEOUT_SECONDS)
                raise OutcomeUnknown("no usable answer: ReadTimeout")
            case "F6":
                raise OutcomeUnknown("the provider answered 500")
            case "F9":
                raise ProviderUnavailable("the provider answered 503", 2.0)
            case "F10":
                raise ProviderUnavailable("the provider answered 429")
            case "F16":
                raise ProviderAccessDenied("the provider refuses our credentials")
            case "F18":
                raise ProviderAnswerMismatch("the effect key was used before")

    async def _fail_after(self, kind: str, call: AnyMoneyCall) -> None:
        match kind:
            case "F3" | "F13":
                await Pause(TIMEOUT_SECONDS)
                raise OutcomeUnknown("no usable answer: ReadTimeout")
            case "F4" | "F5" | "F7" | "F11" | "late":
                raise OutcomeUnknown("no usable answer")
            case "F8":
                self._poisoned.add(call.effect_key)
                raise OutcomeUnknown("the provider answered 500")
            case "F12":
                self._mismatched.add(call.effect_key)
                raise ProviderAnswerMismatch("the provider answered about another amount")
            case "F17":
                raise OutcomeUnknown("the key is in progress")
            case "F20":
                effect = self._of(call.effect_key)
                if effect is not None:
                    effect.forgotten = True

    async def _fail_reading(self, fault: Fault) -> None:
        match fault.kind:
            case "F1" | "F9" | "F10":
                raise ProviderUnavailable("the provider could not be asked", 1.0)
            case "F2" | "F13":
                await Pause(TIMEOUT_SECONDS)
                raise OutcomeUnknown("no usable answer: ReadTimeout")
            case "F4" | "F6" | "F11":
                raise OutcomeUnknown("no usable answer")
            case "F12":
                raise ProviderAnswerMismatch("the provider answered about another object")
            case "F16":
                raise ProviderAccessDenied("the provider refuses our credentials")

    def _fault(self, call: str) -> Fault | None:
        self.counts[call] = count = self.counts.get(call, 0) + 1
        for fault in self.faults:
            if fault.hits(call, count):
                self.fired.append(f"{fault.kind}@{call}")
                return fault
        return None

    # Effects

    def _of(self, effect_key: str) -> Effect | None:
        return next((e for e in self.effects if e.effect_key == effect_key), None)

    def _once(self, call: AnyMoneyCall, kind: str) -> Outcome:
        known = self._of(call.effect_key)
        if known is not None and self._clock.now() < known.made_at + WINDOW:
            return told(known)
        refusal = self._refusal(call, kind)
        if refusal is not None:
            return refusal
        effect = self._make(call, kind)
        return told(effect)

    def _refusal(self, call: AnyMoneyCall, kind: str) -> Outcome | None:
        if self.habits.declines_first_leg is call.operation and ".2:" not in call.effect_key:
            return self._declined(call, "card_declined", elsewhere=True)
        if kind in {"F14", "F15"} or self.habits.declines is call.operation:
            code = "insufficient_funds" if kind == "F14" else "card_declined"
            return self._declined(call, code)
        rule = rule_against(self.effects, call)
        return None if rule is None else Declined(code=rule, message="The provider refused.")

    def _declined(self, call: AnyMoneyCall, code: str, *, elsewhere: bool = False) -> Outcome:
        effect = self._entry(call, "declined")
        effect.elsewhere = elsewhere
        self.effects.append(effect)
        return told(effect).model_copy(update={"code": code})

    def _make(self, call: AnyMoneyCall, kind: str) -> Effect:
        effect = self._entry(call, "made")
        self.effects.append(effect)
        effect.late = kind == "F19"
        if kind == "late":
            effect.visible_at = self._clock.now() + timedelta(seconds=3)
        self._follow(call)
        settles = self.habits.settles_after_seconds
        action = self.habits.action if call.operation is ProviderOperation.AUTHORIZE else "none"
        if call.operation is ProviderOperation.CREATE_PAYOUT:
            effect.status, effect.payout_state = "pending", PayoutState.IN_TRANSIT
            self._clock.after(settles, lambda: self._arrive(effect))
        elif action != "none":
            effect.status = "requires_action"
            if action != "ignored":
                final = "made" if action == "completed" else "declined"
                self._clock.after(
                    self.habits.settles_after_seconds, lambda: self._settle(effect, final)
                )
        elif kind == "F19" or self._is_slow(call):
            effect.status = "pending"
            if self.habits.final_word != "never":
                final = "declined" if self.habits.final_word == "declined" else "made"
                self._clock.after(
                    self.habits.settles_after_seconds, lambda: self._settle(effect, final)
                )
        self._announce(effect)
        return effect

    def _is_slow(self, call: AnyMoneyCall) -> bool:
        return self.habits.final_word != "at once" and not isinstance(
            call, VoidCall | CancelPayoutCall
        )

    def _entry(self, call: AnyMoneyCall, status: str) -> Effect:
        return Effect(
            operation=call.operation,
            operation_id=call.operation_id,
            effect_key=call.effect_key,
            amount=call.amount,
            currency=call.currency,
            reference=f"{call.operation[:2]}_{len(self.effects) + 1}",
            status=status,
            made_at=self._clock.now(),
            shown_by=call.send_by + SHOWN_AFTER,
            parent=parent_of(call),
        )

    def _follow(self, call: AnyMoneyCall) -> None:
        match call:
            case CaptureCall():
                parent = referenced(self.effects, call.authorization_reference)
                if parent is not None and call.final:
                    parent.closed = True
            case VoidCall():
                parent = referenced(self.effects, call.authorization_reference)
                if parent is not None:
                    parent.closed = True
                    self.effects[-1].amount = parent.amount - taken(
                        self.effects[:-1], parent.reference
                    )
                    if not total(self.effects, ProviderOperation.CAPTURE, parent.reference):
                        parent.status = "taken back"
            case CancelPayoutCall():
                payout = referenced(self.effects, call.payout_reference)
                if payout is not None:
                    payout.status, payout.payout_state = "taken back", PayoutState.CANCELED

    def _settle(self, effect: Effect, final: str) -> None:
        if effect.status in {"pending", "requires_action"}:
            effect.status = final
            self._announce(effect)

    def _arrive(self, payout: Effect) -> None:
        if payout.payout_state is not PayoutState.IN_TRANSIT:
            return
        payout.payout_state = self.habits.payout_end
        payout.status = "declined" if self.habits.payout_end is PayoutState.FAILED else "made"
        if self.habits.payout_end is PayoutState.RETURNED:
            payout.payout_state = PayoutState.PAID
            self._clock.after(60, lambda: self._return(payout))
        self._announce(payout)

    def _return(self, payout: Effect) -> None:
        payout.payout_state = PayoutState.RETURNED
        self._announce(payout, always=True)

    def _announce(self, effect: Effect, *, always: bool = False) -> None:
        after = self.habits.webhook_after_seconds
        if after is None and not always:
            return
        for copy in range(self.habits.webhook_copies):
            self._events += 1
            event = self._event(effect, self._events)
            self._clock.after((after or 0.0) + copy * 0.5, partial(self._deliver, event))

    def _event(self, effect: Effect, number: int) -> ProviderEvent:
        return ProviderEvent(
            provider=self.name_of(effect),
            event_id=f"ev_{number}",
            event_type=f"{effect.operation}.changed",
            object_reference=effect.reference,
            operation_id=effect.operation_id,
            effect_key=effect.effect_key if self.habits.webhook_names_key else None,
            occurred_at=self._clock.now(),
            payload={},
        )
