"""What Temporal knows of a saga's runs: the rows say what was decided, Temporal whether anybody
works on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts.starting import SagaStart

_PATIENCE_SECONDS = 5.0
_AT_ONCE = 20
_STUCK_AFTER_TRIES = 2
"""A workflow task may fail once because its worker went away; one that fails again is stuck."""

_ENDED_WITHOUT_SUCCESS = "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled')"

Answer = TypeVar("Answer")


class TemporalSilent(Exception):
    """Temporal does not answer."""


@dataclass(frozen=True)
class Execution:
    """The newest run of a workflow. `stuck`: its workflow task fails again and again."""

    workflow_id: str
    run_id: str
    status: WorkflowExecutionStatus
    stuck: bool

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.status is WorkflowExecutionStatus.RUNNING

    @property
    def abandoned(self) -> bool:
        """Whether it ended early. One that has completed wrote its end into the rows before."""
        return self.status not in {
            WorkflowExecutionStatus.RUNNING,
            WorkflowExecutionStatus.COMPLETED,
        }


async def answered(call: Awaitable[Answer]) -> Answer:
    """Wait for Temporal, but not for long: its client alone would take 6 to 9 seconds to give up.

    Raises `TemporalSilent`; any other `RPCError` passes.
    """
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await call
    except (TimeoutError, RuntimeError) as error:
        raise TemporalSilent(str(error) or "no answer in time") from error
    except RPCError as error:
        if error.status in {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED}:
            raise TemporalSilent(error.message) from error
        raise


def start_options(start: SagaStart[Any], reuse: WorkflowIDReusePolicy) -> dict[str, Any]:
    """What a client is told when it starts a workflow: a run that is under way is attached to."""
    return {
        "id": start.workflow_id,
        "task_queue": start.task_queue,
        "id_reuse_policy": reuse,
        "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
        "task_timeout": start.task_timeout,
        "search_attributes": start.search_attributes,
        "static_summary": start.static_summary,
        "static_details": start.static_details,
    }


async def describe(client: Client, workflow_id: str) -> Execution | None:
    """The newest run of a workflow. None: Temporal knows none (any more)."""
    handle = client.get_workflow_handle(workflow_id)
    try:
        found = await answered(handle.describe(rpc_timeout=timedelta(seconds=_PATIENCE_SECONDS)))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    pending = found.raw_description.pending_workflow_task
    return Execution(
        workflow_id=workflow_id,
        run_id=found.run_id,
        status=found.status or WorkflowExecutionStatus.RUNNING,
        stuck=pending.attempt > _STUCK_AFTER_TRIES,
    )


async def describe_all(
    client: Client, workflow_ids: Iterable[str]
) -> Mapping[str, Execution | None]:
    """The newest run of each workflow, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(workflow_id: str) -> tuple[str, Execution | None]:
        async with gate:
            return workflow_id, await describe(client, workflow_id)

    wanted = dict.fromkeys(workflow_ids)
    return dict(await asyncio.gather(*(one(workflow_id) for workflow_id in wanted)))


def best(executions: Iterable[Execution | None]) -> Execution | None:
    """The run that counts among copies of a saga: one that is under way, else one that ended early,
    else any that is known.
    """
    known = [execution for execution in executions if execution is not None]
    known.sort(key=lambda one: (not one.runs, not one.abandoned))
    return known[0] if known else None


async def ended_without_success(client: Client, limit: int) -> list[str]:
    """Workflow ids of runs that did not end well, the newest first, `limit` of them at most.

    A run that was reset is among them: ask `describe` for the newest run of each.
    """

    async def collected() -> list[str]:
        found = client.list_workflows(_ENDED_WITHOUT_SUCCESS, limit=limit)
        return [execution.id async for execution in found]

    return await answered(collected())


def ui_page(ui_url: str, namespace: str, workflow_id: str, run_id: str | None) -> str:
    """The page of a workflow in the Temporal UI, or of one of its runs."""
    page = f"{ui_url.rstrip('/')}/namespaces/{namespace}/workflows/{quote(workflow_id, safe='')}"
    return page if run_id is None else f"{page}/{run_id}/history"
