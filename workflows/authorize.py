"""Authorize a payment, and capture it at once where it was asked for."""

from __future__ import annotations

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.provider import Absent, Approved, Declined, RequiresAction
from recompense.contracts.sagas import AuthorizeInput, Decision
from recompense.contracts.steps import (
    EffectAnswer,
    EffectPlan,
    Recorded,
    SagaResult,
    UndoCause,
)
from recompense.contracts.views import PaymentView
from workflows.saga import Saga
from workflows.turns import TakeBack, canceled, never_happened


@workflow.defn(name="AuthorizePayment")
class AuthorizePayment(Saga[PaymentView]):
    """admit + hold (release), authorize (void), record; with automatic capture: capture, record."""

    @workflow.init
    def __init__(self, authorize: AuthorizeInput) -> None:
        super().__init__(authorize.ref(), activities.release_authorization)
        self._authorize = authorize

    @workflow.run
    async def run(self, authorize: AuthorizeInput) -> SagaResult:
        """Carry the authorization to its end."""
        return await self.carry(self._forward)

    @workflow.update(name="decision", description="Wait for the outcome of the authorization")
    async def decision(self) -> Decision[PaymentView]:
        """The payment once its outcome is known, or the refusal."""
        return await self.decided()

    async def _forward(self) -> SagaResult:
        admitted = await self.admit(activities.admit_authorization, self._authorize)
        if admitted.refusal is not None:
            return self.refuse(admitted.refusal)
        plan = self.planned(admitted.effect)
        answer, recorded = await self._authorization(plan)
        if isinstance(answer.outcome, Declined):
            return self._told(recorded, f"declined: {answer.outcome.message}")
        if recorded.next_effect is None:
            if self.cancel_requested:
                self.say("canceled too late: the authorization stands")
            return self._told(recorded, "authorized")
        return await self._capture(recorded.next_effect)

    async def _authorization(self, plan: EffectPlan) -> tuple[EffectAnswer, Recorded[PaymentView]]:
        answer, recorded = await self._word(plan)
        while (leg := self.next_leg(plan, recorded)) is not None:
            plan = leg
            answer, recorded = await self._word(plan)
        if isinstance(answer.outcome, Absent):
            raise (
                canceled() if self.cancel_requested else never_happened(plan.provider, "authorized")
            )
        return answer, recorded

    async def _word(self, plan: EffectPlan) -> tuple[EffectAnswer, Recorded[PaymentView]]:
        """One provider's final word, recorded."""
        answer = await self.effect(plan)
        recorded = await self.record(activities.record_authorization, plan, answer)
        while not answer.is_final:
            if isinstance(answer.outcome, RequiresAction):
                self.decide(recorded.resource)
            answer = await self.await_word(plan, answer)
            if self.cancel_requested and isinstance(answer.outcome, RequiresAction):
                raise canceled()
            recorded = await self.record(activities.record_authorization, plan, answer)
        return answer, recorded

    async def _capture(self, plan: EffectPlan) -> SagaResult:
        if self.cancel_requested:
            # Its send right is out already: only a look-up after it has ended proves that it was
            # never used.
            answer = await self.known_without_sending(plan)
            await self.record(activities.record_automatic_capture, plan, answer)
            if isinstance(answer.outcome, Absent):
                raise canceled()
        answer, recorded = await self.one_effect(
            plan, activities.record_automatic_capture, "captured"
        )
        if isinstance(answer.outcome, Approved):
            return self._told(recorded, "captured")
        raise TakeBack(_refused_capture(answer))

    def _told(self, recorded: Recorded[PaymentView], ended: str) -> SagaResult:
        self.decide(recorded.resource)
        return self.result(ended, recorded.resource)


def _refused_capture(answer: EffectAnswer) -> UndoCause:
    """A refused automatic capture voids the authorization: the payment is declined, and nothing is
    red.
    """
    outcome = answer.outcome
    declined = isinstance(outcome, Declined)
    return UndoCause(
        code=outcome.code if isinstance(outcome, Declined) else "capture_refused",
        message=outcome.message if isinstance(outcome, Declined) else "The capture was refused.",
        provider_code=outcome.provider_code if isinstance(outcome, Declined) else None,
        red=not declined,
        final_status="declined",
    )
