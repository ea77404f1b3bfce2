"""What a schedule starts: it turns the moment at which the schedule fired into a payout run."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributeKey, WorkflowIDReusePolicy
from temporalio.exceptions import FailureError

from recompense.contracts import activities
from recompense.contracts.payout_runs import PayoutRunInput, PayoutRunTriggerInput, PlanRun
from recompense.contracts.starting import payout_run_start
from workflows.payout_run import PayoutRun
from workflows.policies import IN_HOUSE

_FIRED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
"""Temporal's own: when the schedule meant this run to start, however late it is, backfills too."""


@workflow.defn(name="PayoutRunTrigger")
class PayoutRunTrigger:
    """Start the run of the business date at which the schedule fired; one that is there stays."""

    @workflow.run
    async def run(self, trigger: PayoutRunTriggerInput) -> str:
        """Start the run. Returns in plain words what came of it."""
        info = workflow.info()
        fired_at = info.typed_search_attributes.get(_FIRED_AT) or info.start_time
        planned = await workflow.execute_local_activity(
            activities.plan_payout_run,
            PlanRun(name=trigger.name, fired_at=fired_at),
            **IN_HOUSE,
        )
        if planned.run is None:
            return f"{planned.business_date} is no business day"
        started = await _start(planned.run)
        return planned.run.workflow_id if started else f"{planned.run.workflow_id} is there already"


async def _start(run: PayoutRunInput) -> bool:
    start = payout_run_start(run)
    try:
        await workflow.start_child_workflow(
            PayoutRun.run,
            run,
            id=start.workflow_id,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            task_timeout=start.task_timeout,
            search_attributes=start.search_attributes,
            static_summary=start.static_summary,
            static_details=start.static_details,
        )
    except FailureError:
        # Whoever started it, it is the one run of this date.
        return False
    return True
