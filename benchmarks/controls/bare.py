"""Bare: the least Temporal program that makes the call.

One workflow, one activity with the same HTTP call to the same sandbox, started and awaited by
update-with-start as the platform does. No database, no ledger, no idempotency, no encryption: the
floor.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from benchmarks.controls.call import Call, async_client, status_of
from benchmarks.controls.workers import serve

TASK_QUEUE = "bench-bare"


class Provider:
    """The one activity, with its HTTP client."""

    def __init__(self, sandbox_url: str) -> None:
        self._http = async_client(sandbox_url)

    @activity.defn(name="bare.authorize")
    async def authorize(self, call: Call) -> str:
        """Ask the sandbox; its word."""
        return status_of(await self._http.post(**call.request()))


@workflow.defn(name="BenchBare")
class Bare:
    """Call the provider, tell who waits."""

    def __init__(self) -> None:
        self._status: str | None = None

    @workflow.run
    async def run(self, call: Call) -> str:
        """Make the call."""
        self._status = await workflow.execute_activity_method(
            Provider.authorize, call, start_to_close_timeout=timedelta(seconds=10)
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._status

    @workflow.update
    async def decision(self) -> str:
        """Wait for the provider's word."""
        await workflow.wait_condition(lambda: self._status is not None)
        return str(self._status)


async def authorize(client: Client, call: Call) -> str:
    """Start the workflow and wait for its decision, in one round trip."""
    start = WithStartWorkflowOperation(
        Bare.run,
        call,
        id=f"bare/{call.payment_id}",
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    return await client.execute_update_with_start_workflow(
        Bare.decision, start_workflow_operation=start
    )


async def main(temporal_address: str, sandbox_url: str) -> None:
    """Run one worker process until SIGTERM."""
    provider = Provider(sandbox_url)
    await serve(temporal_address, TASK_QUEUE, Bare, [provider.authorize])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
