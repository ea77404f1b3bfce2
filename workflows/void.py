"""Void what is left of an authorization, because it was asked or because its time has run out."""

from __future__ import annotations

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.provider import Declined
from recompense.contracts.sagas import Decision, Refusal, VoidInput
from recompense.contracts.steps import SagaResult, UndoCause
from recompense.contracts.views import PaymentView
from workflows.saga import Saga


@workflow.defn(name="VoidAuthorization")
class VoidAuthorization(Saga[PaymentView]):
    """mark (unmark), void, void the hold. The void is the pivot."""

    @workflow.init
    def __init__(self, void: VoidInput) -> None:
        super().__init__(void.ref(), activities.release_void)
        self._void = void

    @workflow.run
    async def run(self, void: VoidInput) -> SagaResult:
        """Carry the void to its end."""
        return await self.carry(self._forward)

    @workflow.update(name="decision", description="Wait for the outcome of the void")
    async def decision(self) -> Decision[PaymentView]:
        """The payment once its void has an outcome, or the refusal."""
        return await self.decided()

    def decide(self, resource: PaymentView | None) -> None:
        """A payment of which something can still be captured was not voided: the rows say why."""
        if _is_over(resource):
            super().decide(resource)

    def tell_taken_back(self, cause: UndoCause, resource: PaymentView | None) -> None:
        """A payment does not show why it was not voided: the caller is refused."""
        self.refuse(Refusal(code="payment_not_voidable", message=cause.message))

    async def _forward(self) -> SagaResult:
        admitted = await self.admit(activities.admit_void, self._void)
        if admitted.refusal is not None:
            return self.refuse(admitted.refusal)
        plan = self.planned(admitted.effect)
        answer, recorded = await self.one_effect(plan, activities.record_void, "voided")
        payment = recorded.resource
        # What has lapsed by itself is gone as well, where that was the cause. For anyone else a
        # decline stays one, though a later void may have ended the payment since.
        lapsed = self._void.cause == "expiry" and _is_over(payment)
        if isinstance(answer.outcome, Declined) and not lapsed:
            return self.refuse(
                Refusal(
                    code="payment_not_voidable",
                    message=f"The provider refused: {answer.outcome.message}",
                )
            )
        self.decide(payment)
        return self.result("voided", payment)


def _is_over(payment: PaymentView | None) -> bool:
    """Whether nothing is left to capture, and no void is open: an authorization that had lapsed
    counts as voided.
    """
    return (
        payment is not None
        and payment.amount_capturable == 0
        and payment.status not in {"authorized", "partially_captured"}
    )
