"""Capture an authorized payment, in part or whole."""

from __future__ import annotations

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.provider import Declined
from recompense.contracts.sagas import CaptureInput, Decision
from recompense.contracts.steps import SagaResult
from recompense.contracts.views import CaptureView
from workflows.saga import Saga


@workflow.defn(name="CapturePayment")
class CapturePayment(Saga[CaptureView]):
    """reserve (release), capture, post.

    The capture is the pivot: what was captured is refunded, not taken back.
    """

    @workflow.init
    def __init__(self, capture: CaptureInput) -> None:
        super().__init__(capture.ref(), activities.release_capture)
        self._capture = capture

    @workflow.run
    async def run(self, capture: CaptureInput) -> SagaResult:
        """Carry the capture to its end."""
        return await self.carry(self._forward)

    @workflow.update(name="decision", description="Wait for the outcome of the capture")
    async def decision(self) -> Decision[CaptureView]:
        """The capture once its outcome is known, or the refusal."""
        return await self.decided()

    async def _forward(self) -> SagaResult:
        admitted = await self.admit(activities.admit_capture, self._capture)
        if admitted.refusal is not None:
            return self.refuse(admitted.refusal)
        plan = self.planned(admitted.effect)
        answer, recorded = await self.one_effect(plan, activities.record_capture, "captured")
        self.decide(recorded.resource)
        if isinstance(answer.outcome, Declined):
            return self.result(f"declined: {answer.outcome.message}", recorded.resource)
        return self.result("captured", recorded.resource)
