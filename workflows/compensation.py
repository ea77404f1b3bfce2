"""Compensation: taking back what is known to have happened, last in first out.

What has to be undone is registered in the database before each step, in the transaction that
intends it: a reservation, a journaled effect. So a run that joins after a reset knows it as well as
the run that made it. Each compensation is a success when there is nothing to undo.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow

from recompense.contracts import activities, search_attributes
from recompense.contracts.sagas import ResolveDecision, SagaRef, Verdict
from recompense.contracts.steps import (
    BeginCompensation,
    CloseAttempt,
    CompensationPlan,
    CompensationReport,
    EffectAnswer,
    EffectPlan,
    RecordEffect,
    SettleOrphan,
    UndoCause,
    is_undone,
)
from recompense.domain.states import SagaState
from workflows.effects import Effects
from workflows.policies import IN_HOUSE

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Compensations(Effects):
    """The part of a saga that takes back."""

    def __init__(self, saga: SagaRef) -> None:
        super().__init__(saga)
        self.undone: list[str] = []

    async def step(self, stub: Callable[[_In], Awaitable[_Out]], argument: _In) -> _Out:
        """Run one in-house step: one transaction, repeated until it is done."""
        options: dict[str, Any] = IN_HOUSE
        return await workflow.execute_local_activity(stub, argument, **options)

    def recording(self, plan: EffectPlan, answer: EffectAnswer) -> RecordEffect:
        """What has to be recorded of an effect."""
        return RecordEffect(
            saga=self.saga,
            attempt=plan.attempt,
            step=plan.step,
            leg=plan.leg,
            answer=answer,
            stays=self.cancel_requested,
        )

    async def begin_compensation(self, cause: UndoCause) -> CompensationPlan:
        """Move the attempt to `compensating`, and show it. The first cause that was given stays."""
        begun = await self.step(
            activities.begin_compensation,
            BeginCompensation(saga=self.saga, attempt=self.attempt, cause=cause),
        )
        if begun.verdict is Verdict.PROCEED and not begun.nothing_to_do:
            self.undone = []
            self.state = SagaState.COMPENSATING
            self.say(f"taking back: {begun.cause.message}")
            workflow.upsert_search_attributes(
                [search_attributes.SAGA_STATE.value_set(SagaState.COMPENSATING)]
            )
        return begun

    async def undo_at_provider(self, begun: CompensationPlan) -> None:
        """Undo the attempt's effect, for as long as it takes: it ends undone, or a person says that
        it is.
        """
        undo = begun.undo
        while undo is not None:
            answer = await self._undo(undo)
            what = f"{undo.call.operation} at {undo.provider}"
            if is_undone(answer):
                self.undone.append(what)
                return
            await self.ask(undo, f"{what} did not undo it. Undo it there, then say succeeded.")
            if self.said is ResolveDecision.SUCCEEDED:
                self.undone.append(f"{what}: undone by hand")
                return
            again = await self.begin_compensation(begun.cause)
            undo = again.undo

    async def _undo(self, undo: EffectPlan) -> EffectAnswer:
        answer = await self.effect(undo)
        while not answer.is_final:
            answer = await self.await_word(undo, answer)
        await self.step(activities.record_undo, self.recording(undo, answer))
        return answer

    async def close(self, cause: UndoCause) -> None:
        """Close the attempt, with the report of what was undone."""
        await self.step(
            activities.close_attempt,
            CloseAttempt(saga=self.saga, attempt=self.attempt, report=self.report(cause)),
        )

    def report(self, cause: UndoCause) -> CompensationReport:
        """How the attempt was taken back."""
        return CompensationReport(
            saga_id=self.saga.saga_id,
            attempt=self.attempt,
            cause=cause,
            undone=tuple(self.undone),
        )

    async def undo_orphan(self, undo: EffectPlan) -> None:
        """Take an effect back that became known too late; in doubt, a person looks."""
        answer: EffectAnswer | None = await self.effect(undo)
        await self.step(activities.settle_orphan, SettleOrphan(effect=undo, answer=answer))
