"""Reconciliations as people ask for them: begun once for each id, and started in Temporal."""

from __future__ import annotations

from datetime import date

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from recompense.contracts.reconciliation import RECONCILE_PROVIDER, ReconcileInput
from recompense.contracts.sagas import SAGA_TASK_QUEUE
from recompense.contracts.search_attributes import of_reconciliation
from recompense.contracts.starting import TASK_TIMEOUT
from recompense.persistence import reconciling
from recompense.persistence.database import Database


async def begin(
    database: Database,
    reconciliation_id: str,
    *,
    provider: str,
    report_date: date,
    requested_by: str,
) -> ReconcileInput:
    """Make the row of a reconciliation, once for each id."""
    async with database.transaction() as session:
        return await reconciling.begin(
            session,
            reconciliation_id,
            provider=provider,
            report_date=report_date,
            requested_by=requested_by,
        )


async def start(client: Client, given: ReconcileInput) -> None:
    """Start its workflow, unless it has been started. Raises what Temporal's client raises."""
    try:
        await client.start_workflow(
            RECONCILE_PROVIDER,
            given,
            id=given.workflow_id,
            task_queue=SAGA_TASK_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            search_attributes=of_reconciliation(given.reconciliation_id, given.provider),
            static_summary=f"Reconcile {given.provider} of {given.report_date.isoformat()}",
        )
    except WorkflowAlreadyStartedError:
        return
