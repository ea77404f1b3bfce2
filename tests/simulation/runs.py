"""Runs and their histories, as the server keeps them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from tests.simulation.executions import Execution
from tests.simulation.instances import Instance, NotDeterministic


class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    CONTINUED = "continued as new"


@dataclass
class Activation:
    """What was fed at once, when, and what came of it."""

    jobs: list[WorkflowActivationJob]
    at: datetime
    commands: list[bytes] = field(default_factory=list)


@dataclass
class Task:
    """A workflow task: one activation from the server, and those of its local activities."""

    told: list[WorkflowActivationJob]
    activations: list[Activation] = field(default_factory=list)
    commands: list[WorkflowCommand] = field(default_factory=list)
    waits_for: dict[int, Execution] = field(default_factory=dict)


@dataclass
class Answer:
    """What an update was told."""

    result: Payload | None = None
    failure: Failure | None = None


@dataclass
class Run:
    """One run of one workflow."""

    workflow_type: str
    workflow_id: str
    run_id: str
    started: datetime
    inbox: list[WorkflowActivationJob] = field(default_factory=list)
    history: list[Task] = field(default_factory=list)
    task: Task | None = None
    due: bool = False
    instance: Instance | None = None
    ending: Ending | None = None
    result: Payload | None = None
    failure: Failure | None = None
    parent: tuple[Run, int] | None = None
    """The run that started it, and the number of the command by which it did."""
    executions: dict[int, Execution] = field(default_factory=dict)
    timers: dict[int, float] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    attention: bool = False

    @property
    def open(self) -> bool:
        """Whether it still runs."""
        return self.ending is None


def replayed(run: Run) -> Instance:
    """Feed a run's whole history to a fresh instance.

    Raises `NotDeterministic` where other commands come than the first time.
    """
    instance = Instance(run.workflow_type, run.workflow_id, run.run_id, run.started)
    for task in run.history:
        patches = [c.set_patch_marker.patch_id for c in task.commands if _is_patch(c)]
        for activation in task.activations:
            told = [*map(_has_patch, patches), *activation.jobs]
            commands = instance.activate(told, activation.at, replaying=True)
            if [bytes_of(command) for command in commands] != activation.commands:
                raise NotDeterministic(f"{run.workflow_id} at {activation.at}")
    return instance


def _is_patch(command: WorkflowCommand) -> bool:
    return command.HasField("set_patch_marker")


def _has_patch(patch_id: str) -> WorkflowActivationJob:
    """What a replay is told first of all: the task's history knows this patch."""
    job = WorkflowActivationJob()
    job.notify_has_patch.patch_id = patch_id
    return job


def bytes_of(command: WorkflowCommand) -> bytes:
    """A command as it is compared."""
    return command.SerializeToString(deterministic=True)
