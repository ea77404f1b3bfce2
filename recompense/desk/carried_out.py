"""Whether a person's answer was carried out before: it is known by the id that it was given under,
and counts although whoever handed it in never heard so.
"""

from __future__ import annotations

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts.sagas import SagaStatus
from recompense.desk import rows
from recompense.desk.executions import answered, describe
from recompense.desk.orphans import forgetting_id
from recompense.desk.rows import Story
from recompense.persistence.saga_tables import OperationRun


async def was_carried_out(client: Client, story: Story, update_id: str) -> bool:
    """Whether a run of the saga took this answer, or it settled what stood at the provider.

    An orphan's replay that is audited and has not come about is not yet carried out. Raises
    `TemporalSilent`.
    """
    if any(record.details.get("key") == update_id for record in story.audit):
        return not rows.leaves_orphans(story)
    forgotten = await describe(client, forgetting_id(story.operation.saga_id, update_id))
    if forgotten is not None and forgotten.status is WorkflowExecutionStatus.COMPLETED:
        return True
    for run in reversed(story.runs):
        if await _took(client, run, update_id):
            return True
    return False


async def _took(client: Client, run: OperationRun, update_id: str) -> bool:
    workflow = client.get_workflow_handle(run.workflow_id, run_id=run.run_id)
    update = workflow.get_update_handle(update_id, result_type=SagaStatus)
    try:
        await answered(update.result())
    except WorkflowUpdateFailedError:
        return False
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
