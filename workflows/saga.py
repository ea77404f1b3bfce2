"""The saga: how every lifecycle runs forward, finds out what is unknown, takes back, and waits for
people.

A lifecycle reads as its business steps; what is here is the same for all of them. Cancellation is a
request that the forward path looks at between steps: the path itself runs in a task of its own that
is never cancelled, so a money step is never torn apart. Of the three shapes in which Temporal
delivers a cancel, two (an `ActivityError`, nothing at all) cannot occur there, and the third
(`asyncio.CancelledError` in a wait) arrives in `carry` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from recompense.contracts import search_attributes
from recompense.contracts.provider import Absent
from recompense.contracts.sagas import (
    Decision,
    Refusal,
    Resource,
    SagaRef,
    SagaStatus,
    Verdict,
)
from recompense.contracts.steps import (
    Admitted,
    EffectAnswer,
    EffectPlan,
    Recorded,
    RecordEffect,
    SagaResult,
    StepRef,
    UndoCause,
)
from recompense.domain.states import SagaState
from workflows.compensation import Compensations
from workflows.failures import reason
from workflows.turns import TakeBack, Turn, canceled, never_happened

_In = TypeVar("_In")
_Out = TypeVar("_Out")

Release = Callable[[StepRef], Awaitable[Recorded[Resource]]]
RecordStub = Callable[[RecordEffect], Awaitable[Recorded[Resource]]]
AdmitStub = Callable[[_In], Awaitable[Admitted[Resource]]]


class Saga(Compensations, Generic[Resource]):
    """One run of one lifecycle."""

    def __init__(self, saga: SagaRef, release: Release[Resource]) -> None:
        super().__init__(saga)
        self._release: Release[Resource] = release
        self._stood = False
        self._decision: Decision[Resource] | None = None
        self._undecided: str | None = None

    # What callers and people may ask

    async def decided(self) -> Decision[Resource]:
        """Wait for the decision: the first known outcome, or the refusal."""
        await workflow.wait_condition(
            lambda: self._decision is not None or self._undecided is not None
        )
        if self._decision is None:
            raise ApplicationError(str(self._undecided), type="SagaFailed")
        return self._decision

    @workflow.query(name="status", description="Where this saga stands, in plain words")
    def status(self) -> SagaStatus:
        """Where this run stands."""
        return SagaStatus(
            state=self.state,
            attempt=self.attempt,
            doing=self.doing,
            question=self.question,
            compensations=tuple(self.undone),
        )

    # The life of a run

    async def carry(self, forward: Callable[[], Awaitable[SagaResult]]) -> SagaResult:
        """Run the forward path to an end that a person can read, whatever happens on the way."""
        life = asyncio.create_task(self._live(forward))
        while True:
            try:
                return await asyncio.shield(life)
            except asyncio.CancelledError:
                # Eviction looks like this too, and has to pass: only a cancel from the server has a
                # reason.
                if life.done() or workflow.cancellation_reason() is None:
                    raise
                self.cancel_requested = True
                self.say("asked to cancel: ends done or taken back, whichever becomes true")

    async def _live(self, forward: Callable[[], Awaitable[SagaResult]]) -> SagaResult:
        while True:
            try:
                return await self._ending(await forward())
            except Turn as turn:
                if turn.verdict is Verdict.SUPERSEDED:
                    return await self._ending(self._superseded())
                if turn.verdict is Verdict.START_OVER:
                    continue
                cause = UndoCause(code="joined", message="Another run began to take it back.")
            except TakeBack as take_back:
                cause = take_back.cause
            except ActivityError as failure:
                await self._give_up(failure)
                raise
            result = await self._take_back(cause)
            if result is not None:
                return await self._ending(result)

    async def _give_up(self, failure: ActivityError) -> None:
        """The first step found our own rows in contradiction: nothing has moved, and a person has
        to look.
        """
        self._undecided = reason(failure)
        self.settle_callers()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _ending(self, result: SagaResult) -> SagaResult:
        self.say(result.ended)
        self.settle_callers()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    def settle_callers(self) -> None:
        """Answer whoever still waits in a handler of the lifecycle's own."""

    def result(self, ended: str, resource: Resource | None = None) -> SagaResult:
        """What the run returns."""
        return SagaResult(
            saga_id=self.saga.saga_id,
            attempt=self.attempt,
            ended=ended,
            resource=resource.model_dump(mode="json") if resource is not None else None,
        )

    def decide(self, resource: Resource | None) -> None:
        """Tell the caller: the outcome is known. The first decision stands."""
        if self._decision is None and resource is not None:
            self._decision = Decision(resource=resource)

    def tell_taken_back(self, cause: UndoCause, resource: Resource | None) -> None:
        """Tell the caller that all was taken back: the resource shows it."""
        self.decide(resource)

    def refuse(self, refusal: Refusal) -> SagaResult:
        """Tell the caller: the state or a rule forbids it. A refusal is a result, not a failure."""
        if self._decision is None:
            self._decision = Decision(refusal=refusal)
        return self.result(f"refused: {refusal.message}")

    # Steps

    async def admit(self, stub: AdmitStub[_In, Resource], admit: _In) -> Admitted[Resource]:
        """Run the first step: register, decide once, reserve.

        Its compensation is armed before it runs.
        """
        self._release_armed = True
        self.say("deciding whether it may go on")
        admitted = await self.step(stub, admit)
        self.attempt = admitted.attempt
        if admitted.verdict is not Verdict.PROCEED:
            self.decide(admitted.resource)
            raise Turn(admitted.verdict, admitted.attempt)
        if admitted.effect is not None:
            _show_provider(admitted.effect.provider)
        return admitted

    def planned(self, plan: EffectPlan | None) -> EffectPlan:
        """The effect that `admit` planned.

        Without one there would be nothing to do: a broken promise of ours.
        """
        if plan is None:
            raise ApplicationError("admit planned no effect", type="InvariantBroken")
        return plan

    def proceed(self, recorded: Recorded[Resource]) -> None:
        """Go on only when the step says so."""
        if recorded.verdict is not Verdict.PROCEED:
            self.decide(recorded.resource)
            raise Turn(recorded.verdict, self.attempt)

    def next_leg(self, plan: EffectPlan, recorded: Recorded[Resource]) -> EffectPlan | None:
        """The same step at another provider: it provably did not happen at this one."""
        leg = recorded.next_effect
        if leg is None or leg.step != plan.step:
            return None
        self.say(f"{plan.provider} did not do it: {leg.provider} is asked instead")
        _show_provider(leg.provider)
        return leg

    async def record(
        self, stub: RecordStub[Resource], plan: EffectPlan, answer: EffectAnswer
    ) -> Recorded[Resource]:
        """Write an outcome and all that follows from it.

        A booking that fails after an effect parks: it is never taken back.
        """
        while True:
            try:
                recorded = await self.step(stub, self.recording(plan, answer))
            except ActivityError as failure:
                await self.ask(plan, f"Our books refuse this outcome: {reason(failure)}")
                continue
            if recorded.orphan_undo is not None:
                await self.undo_orphan(recorded.orphan_undo)
            if recorded.verdict is Verdict.CONFLICT:
                await self.ask(plan, "Two different final outcomes were told for this step.")
                answer = await self.effect(plan.without_right())
                continue
            self.proceed(recorded)
            return recorded

    async def one_effect(
        self, plan: EffectPlan, record: RecordStub[Resource], past: str
    ) -> tuple[EffectAnswer, Recorded[Resource]]:
        """Make one effect, wait for its final word, and record it.

        Raises `TakeBack` when it provably never happened.
        """
        answer = await self.effect(plan)
        recorded = await self.record(record, plan, answer)
        while not answer.is_final:
            answer = await self.await_word(plan, answer)
            recorded = await self.record(record, plan, answer)
        if isinstance(answer.outcome, Absent):
            raise canceled() if self.cancel_requested else never_happened(plan.provider, past)
        return answer, recorded

    # Taking back

    async def _take_back(self, cause: UndoCause) -> SagaResult | None:
        """Undo what is known. None: the run starts over, or there was nothing to take back."""
        begun = await self.begin_compensation(cause)
        if begun.verdict is Verdict.SUPERSEDED:
            return self._superseded()
        if begun.verdict is Verdict.START_OVER:
            return None
        if begun.nothing_to_do:
            self._stands(cause)
            return None
        await self.undo_at_provider(begun)
        released: Recorded[Resource] = await self.step(
            self._release, StepRef(saga=self.saga, attempt=self.attempt)
        )
        self.undone.append("release")
        await self.close(begun.cause)
        self.tell_taken_back(begun.cause, released.resource)
        return await self._end_taken_back(begun.cause, released.resource)

    def _stands(self, cause: UndoCause) -> None:
        """The attempt was recorded after all: the run reads its outcome again.

        Once: twice would be a contradiction.
        """
        if self._stood:
            raise ApplicationError(
                f"A recorded attempt was to be taken back: {cause.message}", type="InvariantBroken"
            )
        self._stood = True

    def _superseded(self) -> SagaResult:
        if self._decision is None:
            self._undecided = "Another run has ended this operation."
        return self.result("another run has ended this operation")

    async def _end_taken_back(self, cause: UndoCause, resource: Resource | None) -> SagaResult:
        ended = f"taken back: {cause.message} Undone: {', '.join(self.undone)}."
        result = await self._ending(self.result(ended, resource))
        if cause.code == "canceled":
            raise asyncio.CancelledError
        if cause.red:
            self.state = SagaState.FAILED
            raise ApplicationError(
                f"{cause.message} Everything was taken back; a replay starts attempt"
                f" {self.attempt + 1}.",
                self.report(cause),
                type="Compensated",
                non_retryable=True,
            )
        return result


def _show_provider(provider: str) -> None:
    """A start that did not know the provider shows it now, for one more history event."""
    if workflow.info().typed_search_attributes.get(search_attributes.PROVIDER) != provider:
        workflow.upsert_search_attributes([search_attributes.PROVIDER.value_set(provider)])
