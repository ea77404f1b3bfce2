"""The protobufs of activations and commands, made and read in one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.activity_result import ActivityResolution
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.exceptions import ActivityError, RetryState

from tests.simulation.executions import Order
from tests.simulation.instances import error_of, failure_of, payload

ALLOW_DUPLICATE_FAILED_ONLY, REJECT_DUPLICATE = 2, 3
ALREADY_EXISTS = 1

ANSWERS = {
    "schedule_activity": "resolve_activity",
    "start_timer": "fire_timer",
    "signal_external_workflow_execution": "resolve_signal_external_workflow",
    "start_child_workflow_execution": "resolve_child_workflow_execution_start",
}
"""Which job answers which command."""

_ENDS = frozenset(
    {
        "complete_workflow_execution",
        "fail_workflow_execution",
        "cancel_workflow_execution",
        "continue_as_new_workflow_execution",
    }
)


def ends(command: WorkflowCommand) -> bool:
    """Whether this command ends the run."""
    return command.WhichOneof("variant") in _ENDS


def seq_of(message: Any) -> int:
    """The number by which a job answers a command."""
    return int(getattr(getattr(message, message.WhichOneof("variant")), "seq", -1))


def initialize(
    workflow_type: str, workflow_id: str, arguments: Iterable[Payload]
) -> WorkflowActivationJob:
    """The start of a run."""
    job = WorkflowActivationJob()
    start = job.initialize_workflow
    start.workflow_type, start.workflow_id = workflow_type, workflow_id
    start.arguments.extend(arguments)
    start.randomness_seed = 7
    return job


def update(name: str, update_id: str, argument: object | None) -> WorkflowActivationJob:
    """An update, with its validator."""
    job = WorkflowActivationJob()
    job.do_update.name, job.do_update.id = name, update_id
    job.do_update.protocol_instance_id = update_id
    job.do_update.run_validator = True
    if argument is not None:
        job.do_update.input.append(payload(argument))
    return job


def signal(name: str, arguments: Iterable[Payload]) -> WorkflowActivationJob:
    """A signal."""
    job = WorkflowActivationJob()
    job.signal_workflow.signal_name = name
    job.signal_workflow.input.extend(arguments)
    return job


def cancel() -> WorkflowActivationJob:
    """A request to cancel."""
    job = WorkflowActivationJob()
    job.cancel_workflow.reason = "an operator asked"
    return job


def random_seed(seed: int) -> WorkflowActivationJob:
    """A reset gives the run another seed."""
    job = WorkflowActivationJob()
    job.update_random_seed.randomness_seed = seed
    return job


def timer_fired(seq: int) -> WorkflowActivationJob:
    """A timer's time has come."""
    job = WorkflowActivationJob()
    job.fire_timer.seq = seq
    return job


def signaled(seq: int, reached: bool) -> WorkflowActivationJob:
    """What became of a signal to another workflow."""
    job = WorkflowActivationJob()
    job.resolve_signal_external_workflow.seq = seq
    if not reached:
        failure = job.resolve_signal_external_workflow.failure
        failure.message = "workflow execution already completed"
        failure.application_failure_info.SetInParent()
    return job


def child_started(seq: int, run_id: str) -> WorkflowActivationJob:
    """A child runs."""
    job = WorkflowActivationJob()
    job.resolve_child_workflow_execution_start.seq = seq
    job.resolve_child_workflow_execution_start.succeeded.run_id = run_id
    return job


def child_ended(seq: int, result: Payload | None, failure: Failure | None) -> WorkflowActivationJob:
    """A child's end, for the run that started it. Neither a result nor a failure: it returned
    nothing.
    """
    job = WorkflowActivationJob()
    job.resolve_child_workflow_execution.seq = seq
    ended = job.resolve_child_workflow_execution.result
    if failure is not None:
        ended.failed.failure.CopyFrom(failure)
    else:
        ended.completed.SetInParent()
        if result is not None:
            ended.completed.result.CopyFrom(result)
    return job


def child_failure(cause: Failure | None) -> Failure:
    """What the server makes of a child that failed, or (`cause` None) was ended from outside."""
    failure = Failure(message="Child Workflow execution failed")
    failure.child_workflow_execution_failure_info.SetInParent()
    if cause is not None:
        failure.cause.CopyFrom(cause)
    else:
        failure.cause.message = "canceled or terminated"
        failure.cause.terminated_failure_info.SetInParent()
    return failure


def child_refused(asked: Any) -> WorkflowActivationJob:
    """A child's id is in use."""
    job = WorkflowActivationJob()
    resolved = job.resolve_child_workflow_execution_start
    resolved.seq = asked.seq
    resolved.failed.workflow_id = asked.workflow_id
    resolved.failed.workflow_type = asked.workflow_type
    resolved.failed.cause = ALREADY_EXISTS  # type: ignore[assignment]  # an enum's number
    return job


def rejects(asked: Any, *, failed: bool) -> bool:
    """Whether a child may not follow a run of its id that has ended."""
    policy = int(asked.workflow_id_reuse_policy)
    return policy == REJECT_DUPLICATE or (policy == ALLOW_DUPLICATE_FAILED_ONLY and not failed)


def resolved(
    seq: int, result: Payload | None, failure: Failure | None, *, local: bool
) -> WorkflowActivationJob:
    """An activity's end."""
    job = WorkflowActivationJob()
    job.resolve_activity.seq, job.resolve_activity.is_local = seq, local
    resolution: ActivityResolution = job.resolve_activity.result
    if failure is None:
        resolution.completed.SetInParent()
        if result is not None:
            resolution.completed.result.CopyFrom(result)
    else:
        resolution.failed.failure.CopyFrom(_activity_failure(failure))
    return job


def activity_resolved(
    asked: Any, result: Payload | None, failure: Failure | None
) -> WorkflowActivationJob:
    """An activity's end, as the server tells it."""
    return resolved(asked.seq, result, failure, local=False)


def _activity_failure(cause: Failure) -> Failure:
    error = ActivityError(
        "activity failed",
        scheduled_event_id=0,
        started_event_id=0,
        identity="",
        activity_type="",
        activity_id="",
        retry_state=RetryState.MAXIMUM_ATTEMPTS_REACHED,
    )
    error.__cause__ = error_of(cause)
    return failure_of(error)


def attention_of(command: WorkflowCommand, before: bool) -> bool:
    """Whether the run asks for a person, after this command."""
    indexed = command.upsert_workflow_search_attributes.search_attributes.indexed_fields
    told = indexed.get("NeedsAttention")
    return before if told is None else told.data == b"true"


def order_of(asked: Any, workflow_id: str, run_id: str, *, local: bool) -> Order:
    """What a schedule command asks for."""
    return Order(
        name=asked.activity_type,
        arguments=tuple(asked.arguments),
        start_to_close=seconds_of(asked.start_to_close_timeout),
        schedule_to_close=seconds_of(asked.schedule_to_close_timeout),
        retry=asked.retry_policy,
        local=local,
        workflow_id=workflow_id,
        run_id=run_id,
    )


def seconds_of(duration: Any) -> float:
    """A duration in seconds."""
    return float(duration.seconds) + float(duration.nanos) / 1e9
