"""The workers of one process: one for the sagas, and one for each provider's own queue."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.boundary import FailureBoundary
from activities.registry import (
    in_house_activities,
    provider_activities,
    reconciliation_activities,
    report_activities,
)
from activities.toolbox import Toolbox
from recompense.contracts.sagas import SAGA_TASK_QUEUE, provider_task_queue
from workflows.registry import WORKFLOWS

PASSED_THROUGH = (
    "recompense",
    "workflows",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "iso4217",
    "ulid",
)
"""What the workflow sandbox does not load again for each run: pure modules, so that an activation
stays fast.
"""


def workflow_runner(*, sandboxed: bool) -> WorkflowRunner:
    """The runner of production (unsandboxed; a house check keeps workflows deterministic) or of
    tests (sandboxed).
    """
    if not sandboxed:
        return UnsandboxedWorkflowRunner()
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def make_workers(
    client: Client,
    tools: Toolbox,
    *,
    sandboxed: bool,
    graceful_shutdown_seconds: float,
    queues: Collection[str] = (),
    max_cached_workflows: int = 1000,
) -> list[Worker]:
    """Make the workers for `queues` (none: all); they run when entered, and drain when left.

    The sticky timeout is short, so that a worker that dies costs seconds. What a provider may take
    at once, and each second, is its policy's word.
    """
    drain = timedelta(seconds=graceful_shutdown_seconds)
    served = set(queues) or {
        SAGA_TASK_QUEUE,
        *(provider_task_queue(name) for name in tools.providers.names),
    }
    workers = [
        _provider_worker(client, tools, name, drain)
        for name in tools.providers.names
        if provider_task_queue(name) in served
    ]
    if SAGA_TASK_QUEUE in served:
        workers.append(_saga_worker(client, tools, sandboxed, drain, max_cached_workflows))
    return workers


def _saga_worker(
    client: Client, tools: Toolbox, sandboxed: bool, drain: timedelta, max_cached_workflows: int
) -> Worker:
    return Worker(
        client,
        task_queue=SAGA_TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=[*in_house_activities(tools), *reconciliation_activities(tools)],
        workflow_runner=workflow_runner(sandboxed=sandboxed),
        interceptors=[FailureBoundary()],
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1.5),
        max_cached_workflows=max_cached_workflows,
        graceful_shutdown_timeout=drain,
    )


def _provider_worker(client: Client, tools: Toolbox, provider: str, drain: timedelta) -> Worker:
    policies = tools.providers.policies(provider)
    return Worker(
        client,
        task_queue=provider_task_queue(provider),
        activities=[*provider_activities(tools), *report_activities(tools)],
        interceptors=[FailureBoundary()],
        max_concurrent_activities=policies.maximum_concurrency,
        max_task_queue_activities_per_second=policies.rate_limit_per_second,
        graceful_shutdown_timeout=drain,
    )
