"""Workflow code, fed by hand: activations in, commands out, no server and no event loop of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from temporalio import workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
)

from workflows.registry import WORKFLOWS

PAYLOADS = pydantic_data_converter.payload_converter
DEFINITIONS = {
    str(definition.name): definition
    for definition in map(workflow._Definition.must_from_class, WORKFLOWS)
}
NAMESPACE = "simulated"
_RUNNER = UnsandboxedWorkflowRunner()
_LOOP_OF_CREATION = cast(asyncio.AbstractEventLoop, SimpleNamespace())
"""An instance looks for a running loop while it is made, and puts itself on it for that moment."""


class _WithoutTraces(DefaultFailureConverter):
    """Failures without their stack traces: nobody reads them here, and they are dear to format."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Encode a failure. Its causes come by here too."""
        exception.__traceback__ = None
        super().to_failure(exception, payload_converter, failure)


FAILURES = _WithoutTraces()


class TaskFailed(AssertionError):
    """A workflow task failed: a defect in workflow code, which Temporal would retry for ever."""


class NotDeterministic(AssertionError):
    """The same activations gave other commands the second time."""


def payload(value: object) -> Payload:
    """Encode one value."""
    (encoded,) = PAYLOADS.to_payloads([value])
    return encoded


def decoded(encoded: Sequence[Payload], types: list[type] | None) -> list[Any]:
    """Decode values."""
    return PAYLOADS.from_payloads(encoded, types)


def failure_of(error: BaseException) -> Failure:
    """Encode a failure."""
    failure = Failure()
    FAILURES.to_failure(error, PAYLOADS, failure)
    return failure


def error_of(failure: Failure) -> BaseException:
    """Decode a failure."""
    return FAILURES.from_failure(failure, PAYLOADS)


class Instance:
    """One workflow instance in a worker's cache."""

    def __init__(
        self, workflow_type: str, workflow_id: str, run_id: str, started: datetime
    ) -> None:
        self._run_id = run_id
        self.alive = True
        asyncio._set_running_loop(_LOOP_OF_CREATION)
        try:
            details = _details(workflow_type, workflow_id, run_id, started)
            self._instance: WorkflowInstance = _RUNNER.create_instance(details)
        finally:
            asyncio._set_running_loop(None)

    def activate(
        self, jobs: Iterable[WorkflowActivationJob], now: datetime, *, replaying: bool
    ) -> list[WorkflowCommand]:
        """Feed an activation and return its commands. Raises `TaskFailed`."""
        activation = WorkflowActivation(run_id=self._run_id, is_replaying=replaying, jobs=jobs)
        activation.timestamp.FromDatetime(now)
        completion = self._instance.activate(activation)
        if completion.HasField("failed"):
            self.alive = False
            raise TaskFailed(completion.failed.failure.message)
        return list(completion.successful.commands)

    def evict(self) -> None:
        """Drop the instance, as a worker does with its cache."""
        if self.alive:
            self.alive = False
            job = WorkflowActivationJob()
            job.remove_from_cache.SetInParent()
            self._instance.activate(WorkflowActivation(run_id=self._run_id, jobs=[job]))


def _details(
    workflow_type: str, workflow_id: str, run_id: str, started: datetime
) -> WorkflowInstanceDetails:
    info = workflow.Info(
        attempt=1,
        continued_run_id=None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=run_id,
        headers={},
        namespace=NAMESPACE,
        original_execution_run_id=run_id,
        parent=None,
        root=None,
        raw_memo={},
        retry_policy=None,
        run_id=run_id,
        run_timeout=None,
        search_attributes={},
        start_time=started,
        workflow_start_time=started,
        task_queue="sagas",
        task_timeout=timedelta(seconds=3),
        typed_search_attributes=TypedSearchAttributes([]),
        workflow_id=workflow_id,
        workflow_type=workflow_type,
        priority=Priority(),
    )
    return WorkflowInstanceDetails(
        payload_converter_factory=lambda: PAYLOADS,
        failure_converter_class=type(FAILURES),
        interceptor_classes=[],
        defn=DEFINITIONS[workflow_type],
        info=info,
        randomness_seed=7,
        extern_functions={"__temporal_assert_local_activity_valid": lambda name: None},
        disable_eager_activity_execution=True,
        worker_level_failure_exception_types=[],
        patch_activation_callback=None,
        last_completion_result=Payloads(),
        last_failure=None,
    )
