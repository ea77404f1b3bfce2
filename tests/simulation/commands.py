"""A simulated run's commands in the words in which recorded histories are fingerprinted."""

from __future__ import annotations

from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from tests.simulation.runs import Run, Task


def commands_of(run: Run) -> list[str]:
    """A simulated run in the words of a recorded history."""
    return [words for task in run.history for words in _of_task(task, run)]


def _of_task(task: Task, run: Run) -> list[str]:
    """A local activity leaves its marker when it has ended. A timer that is canceled in the task
    that started it leaves nothing.
    """
    local: dict[int, str] = {}
    canceled = {c.cancel_timer.seq for c in task.commands if c.HasField("cancel_timer")}
    vain = canceled & {c.start_timer.seq for c in task.commands if c.HasField("start_timer")}
    words = []
    for activation in task.activations:
        ended = [job.resolve_activity.seq for job in activation.jobs if _is_local_end(job)]
        words += [f"marker {local[seq]}" for seq in ended]
        for command in map(WorkflowCommand.FromString, activation.commands):
            asked = command.schedule_local_activity
            if command.HasField("schedule_local_activity"):
                local[asked.seq] = asked.activity_type
            elif max(command.start_timer.seq, command.cancel_timer.seq) not in vain:
                words += _words(command, run)
    return words


def _is_local_end(job: WorkflowActivationJob) -> bool:
    return job.HasField("resolve_activity") and job.resolve_activity.is_local


def _words(command: WorkflowCommand, run: Run) -> list[str]:
    kind = command.WhichOneof("variant")
    match kind:
        case "schedule_activity":
            return [f"activity {command.schedule_activity.activity_type}"]
        case "start_child_workflow_execution":
            return [f"child {command.start_child_workflow_execution.workflow_type}"]
        case "continue_as_new_workflow_execution":
            # What the command leaves out is as it was: the server fills it in.
            return [f"continue as new {run.workflow_type}"]
        case "update_response":
            answered = command.update_response.HasField("completed")
            return ["update completed" if answered else "update accepted"]
        case "set_patch_marker":
            # Temporal shows patches as a search attribute, too.
            return ["marker core_patch", "search attributes"]
        case _:
            return [_PLAIN[str(kind)]]


_PLAIN = {
    "start_timer": "timer",
    "cancel_timer": "cancel timer",
    "upsert_workflow_search_attributes": "search attributes",
    "signal_external_workflow_execution": "signal",
    "complete_workflow_execution": "complete",
    "fail_workflow_execution": "fail",
    "cancel_workflow_execution": "cancel",
}
