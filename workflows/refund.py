"""Refund a captured payment, in part or whole."""

from __future__ import annotations

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.provider import Declined
from recompense.contracts.sagas import Decision, RefundInput
from recompense.contracts.steps import SagaResult
from recompense.contracts.views import RefundView
from workflows.saga import Saga


@workflow.defn(name="RefundPayment")
class RefundPayment(Saga[RefundView]):
    """reserve (release), refund, post.

    The refund is the pivot: once it may have happened it only goes forward.
    """

    @workflow.init
    def __init__(self, refund: RefundInput) -> None:
        super().__init__(refund.ref(), activities.release_refund)
        self._refund = refund

    @workflow.run
    async def run(self, refund: RefundInput) -> SagaResult:
        """Carry the refund to its end."""
        return await self.carry(self._forward)

    @workflow.update(name="decision", description="Wait for the outcome of the refund")
    async def decision(self) -> Decision[RefundView]:
        """The refund once its outcome is known, or the refusal."""
        return await self.decided()

    async def _forward(self) -> SagaResult:
        admitted = await self.admit(activities.admit_refund, self._refund)
        if admitted.refusal is not None:
            return self.refuse(admitted.refusal)
        plan = self.planned(admitted.effect)
        answer, recorded = await self.one_effect(plan, activities.record_refund, "refunded")
        self.decide(recorded.resource)
        if isinstance(answer.outcome, Declined):
            return self.result(f"declined: {answer.outcome.message}", recorded.resource)
        return self.result("refunded", recorded.resource)
