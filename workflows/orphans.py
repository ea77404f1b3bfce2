"""A person's word on effects that stand at a provider and were taken back here."""

from __future__ import annotations

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.steps import ForgetOrphans
from workflows.policies import IN_HOUSE


@workflow.defn(name="ForgetOrphans")
class ForgetOrphansOfSaga:
    """They were undone at the provider: our books let go of what they kept for them.

    To keep one instead, the saga is replayed: its next attempt takes the effect up.
    """

    @workflow.run
    async def run(self, told: ForgetOrphans) -> None:
        """Forget all parked orphans of the saga."""
        await workflow.execute_local_activity(activities.forget_orphans, told, **IN_HOUSE)
