"""Temporal, as far as sagas see it: runs and their tasks, activities, timers, signals, updates.

A workflow task is made of activations: the first holds what the server told, the others the local
activities that ran inside it. It becomes history as a whole; a crash before that loses it all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand

from tests.simulation import jobs
from tests.simulation.clock import Clock
from tests.simulation.executions import Execution, Executor, Killed, Order
from tests.simulation.instances import Instance, payload
from tests.simulation.runs import Activation, Answer, Ending, Run, Task, bytes_of, replayed

TASK_LATENCY_SECONDS = 0.01
AFTER_A_CRASH_SECONDS = 3.0


class Server:
    """All runs. `on_task` is told when a task begins, and may kill."""

    def __init__(self, clock: Clock, executor: Executor) -> None:
        self.clock = clock
        self.executor = executor
        self.runs: list[Run] = []
        self.on_task: Callable[[Run], None] = lambda run: None
        self.on_history: Callable[[Run], None] = lambda run: None
        self.replays = 0
        self._numbers = itertools.count(1)
        executor.on_killed = self.crash

    # What clients do

    def start(
        self,
        workflow_type: str,
        workflow_id: str,
        argument: object | None,
        *,
        update: str | None = None,
    ) -> Run:
        """Start a run, or find the one that runs under this id already."""
        present = self.running(workflow_id)
        if present is not None:
            return present
        arguments = [] if argument is None else [payload(argument)]
        run = self._begin_run(workflow_type, workflow_id, arguments)
        if update is not None:
            run.inbox.append(jobs.update(update, update, None))
        return run

    def running(self, workflow_id: str) -> Run | None:
        """The open run under this id."""
        return next((run for run in self.runs if run.workflow_id == workflow_id and run.open), None)

    def signal(self, workflow_id: str, name: str, arguments: Iterable[Payload]) -> bool:
        """Signal the open run. False: there is none."""
        run = self.running(workflow_id)
        if run is not None:
            self._tell(run, jobs.signal(name, arguments))
        return run is not None

    def update(self, run: Run, name: str, update_id: str, argument: object | None) -> None:
        """Send an update to a run."""
        self._tell(run, jobs.update(name, update_id, argument))

    def cancel(self, run: Run) -> None:
        """Ask a run to cancel."""
        self._tell(run, jobs.cancel())

    def terminate(self, run: Run) -> None:
        """End a run without asking it."""
        if run.open:
            self._end(run, Ending.TERMINATED)

    def reset(self, run: Run, kept: int) -> Run:
        """Reset to the workflow task after the first `kept`: what triggered it is told again.

        Later signals and updates are applied again, cancels are not. What was running and has not
        been answered in the kept part is scheduled again, while the old try knows nothing of it.
        """
        assert kept < max(len(run.history), 1), "there is no such task to reset to"
        task_in_progress = run.task
        parent = self._replace(run.workflow_id)
        again = self._new_run(run.workflow_type, run.workflow_id)
        again.parent = parent
        again.history = run.history[:kept]
        later = run.history[kept:] + ([task_in_progress] if task_in_progress else [])
        told = [task.told for task in later] or [run.inbox]
        waiting = run.inbox if later else []
        first = told[0] if told else []
        dropped = {"cancel_workflow", "update_random_seed"}
        again.inbox = [job for job in first if job.WhichOneof("variant") not in dropped]
        for job in itertools.chain(*told[1:], waiting):
            if job.WhichOneof("variant") in {"signal_workflow", "do_update"}:
                again.inbox.append(job)
        if kept:
            again.inbox.append(jobs.random_seed(len(self.runs)))
            self._resume_pending(run, again)
        self._wake(again)
        return again

    def crash(self) -> None:
        """Every worker dies: instances and tries are lost, histories are not."""
        self.executor.kill_all()
        for run in self.runs:
            self._lose(run)

    # Runs and tasks

    def _new_run(self, workflow_type: str, workflow_id: str) -> Run:
        number = next(self._numbers)
        run = Run(workflow_type, workflow_id, f"run-{number}", self.clock.now())
        self.runs.append(run)
        return run

    def _replace(self, workflow_id: str) -> tuple[Run, int] | None:
        """End the open run under an id for another one. Its parent waits for that one's end."""
        present, parent = self.running(workflow_id), None
        if present is not None:
            parent, present.parent = present.parent, None
            self.terminate(present)
        return parent

    def _tell(self, run: Run, job: WorkflowActivationJob) -> None:
        if run.open:
            run.inbox.append(job)
            self._wake(run)

    def _wake(self, run: Run, after: float = TASK_LATENCY_SECONDS) -> None:
        if not run.due and run.task is None and run.open:
            run.due = True
            self.clock.after(after, lambda: self._begin_task(run))

    def _begin_task(self, run: Run) -> None:
        run.due = False
        if not run.open or run.task is not None or not run.inbox:
            return
        told, run.inbox = run.inbox, []
        run.task = Task(told)
        try:
            self.on_task(run)
            self._activate(run, told)
        except Killed:
            self.crash()

    def _activate(self, run: Run, told: list[WorkflowActivationJob]) -> None:
        task = run.task
        assert task is not None
        activation = Activation(told, self.clock.now())
        task.activations.append(activation)
        instance = run.instance or self._replayed(run)
        commands = instance.activate(told, activation.at, replaying=False)
        activation.commands = [bytes_of(command) for command in commands]
        task.commands += commands
        for command in commands:
            if command.HasField("schedule_local_activity"):
                self._run_locally(run, task, command)
        self._finish_task(run, task)

    def _run_locally(self, run: Run, task: Task, command: WorkflowCommand) -> None:
        local = command.schedule_local_activity
        order = jobs.order_of(local, run.workflow_id, run.run_id, local=True)

        def done(result: Payload | None, failure: Failure | None) -> None:
            job = jobs.resolved(local.seq, result, failure, local=True)
            # In a step of its own: the coroutine that ends here must be left first. Until then the
            # task waits for it, though another one ends meanwhile.
            self.clock.after(0, lambda: self._go_on(run, task, job))

        self._hold(task, local.seq, order, done)

    def _hold(self, task: Task, seq: int, order: Order, done: Any) -> None:
        execution = Execution(self.executor, order, done)
        task.waits_for[seq] = execution
        self.clock.after(0, lambda: _begin(execution))

    def _go_on(self, run: Run, task: Task, job: WorkflowActivationJob) -> None:
        if run.task is task and run.open:
            task.waits_for.pop(jobs.seq_of(job), None)
            try:
                self._activate(run, [job])
            except Killed:
                self.crash()

    def _finish_task(self, run: Run, task: Task) -> None:
        """The worker reports the task, once no local activity runs in it."""
        if task.waits_for or run.task is not task or _pending_locals(task):
            return
        ends = [command for command in task.commands if jobs.ends(command)]
        if ends and any(job.WhichOneof("variant") in _UNHANDLED for job in run.inbox):
            # The server refuses to end a run that has not seen all that it was told.
            self._lose(run, 0)
            return
        run.task = None
        run.history.append(task)
        self.on_history(run)
        for command in task.commands:
            self._carry_out(run, command)
        if run.open and run.inbox:
            self._wake(run)

    def _lose(self, run: Run, after: float = AFTER_A_CRASH_SECONDS) -> None:
        """A run's worker is gone: its task, when there was one, is given to another from the
        beginning.
        """
        if run.instance is not None:
            run.instance.evict()
            run.instance = None
        task, run.task = run.task, None
        if task is not None and run.open:
            for execution in task.waits_for.values():
                execution.forget()
            run.inbox = [*task.told, *run.inbox]
            self._wake(run, after)

    def _replayed(self, run: Run) -> Instance:
        """A fresh instance that has been fed the history: every command has to come again."""
        run.instance = replayed(run)
        self.replays += bool(run.history)
        return run.instance

    # Commands

    def _carry_out(self, run: Run, command: WorkflowCommand) -> None:
        match command.WhichOneof("variant"):
            case "schedule_activity":
                self._schedule(run, command)
            case "start_timer":
                timer = command.start_timer
                seconds = (
                    timer.start_to_fire_timeout.seconds + timer.start_to_fire_timeout.nanos / 1e9
                )
                self._start_timer(run, timer.seq, self.clock.seconds + seconds)
            case "cancel_timer":
                run.timers.pop(command.cancel_timer.seq, None)
            case "update_response":
                _note_answer(run, command)
            case "signal_external_workflow_execution":
                self._signal_external(run, command)
            case "start_child_workflow_execution":
                self._start_child(run, command)
            case "complete_workflow_execution":
                run.result = command.complete_workflow_execution.result
                self._end(run, Ending.COMPLETED)
            case "fail_workflow_execution":
                run.failure = command.fail_workflow_execution.failure
                self._end(run, Ending.FAILED)
            case "cancel_workflow_execution":
                self._end(run, Ending.CANCELED)
            case "continue_as_new_workflow_execution":
                self._end(run, Ending.CONTINUED)
                self._continue(run, command)
            case "upsert_workflow_search_attributes":
                run.attention = jobs.attention_of(command, run.attention)
            case "schedule_local_activity" | "set_patch_marker":
                pass
            case "request_cancel_activity" | "request_cancel_local_activity":
                # No activity of ours heartbeats, so that none hears of it: it ends as it would.
                pass
            case "cancel_child_workflow_execution":
                # Our children are abandoned, not canceled: it starts all the same.
                pass
            case other:
                raise AssertionError(f"the simulated server does not know {other}")

    def _schedule(self, run: Run, command: WorkflowCommand) -> None:
        asked = command.schedule_activity
        order = jobs.order_of(asked, run.workflow_id, run.run_id, local=False)

        def done(result: Payload | None, failure: Failure | None) -> None:
            run.executions.pop(asked.seq, None)
            self._tell(run, jobs.activity_resolved(asked, result, failure))

        execution = Execution(self.executor, order, done)
        run.executions[asked.seq] = execution
        self.clock.after(TASK_LATENCY_SECONDS, lambda: _begin(execution))

    def _start_timer(self, run: Run, seq: int, due: float) -> None:
        run.timers[seq] = due

        def fire() -> None:
            if run.open and run.timers.pop(seq, None) is not None:
                self._tell(run, jobs.timer_fired(seq))

        self.clock.after(due - self.clock.seconds, fire)

    def _signal_external(self, run: Run, command: WorkflowCommand) -> None:
        asked = command.signal_external_workflow_execution
        reached = self.signal(
            asked.workflow_execution.workflow_id, asked.signal_name, list(asked.args)
        )
        self._tell(run, jobs.signaled(asked.seq, reached))

    def _start_child(self, run: Run, command: WorkflowCommand) -> None:
        asked = command.start_child_workflow_execution
        known = [other for other in self.runs if other.workflow_id == asked.workflow_id]
        if any(_refuses(other, asked) for other in known):
            self._tell(run, jobs.child_refused(asked))
            return
        child = self._begin_run(asked.workflow_type, asked.workflow_id, asked.input)
        child.parent = (run, asked.seq)
        self._tell(run, jobs.child_started(asked.seq, child.run_id))

    def _continue(self, run: Run, command: WorkflowCommand) -> None:
        asked = command.continue_as_new_workflow_execution
        again = self._begin_run(run.workflow_type, run.workflow_id, asked.arguments)
        again.parent = run.parent

    def _begin_run(self, workflow_type: str, workflow_id: str, arguments: Iterable[Payload]) -> Run:
        run = self._new_run(workflow_type, workflow_id)
        run.inbox.append(jobs.initialize(workflow_type, workflow_id, arguments))
        self._wake(run)
        return run

    def _tell_parent(self, run: Run) -> None:
        """A child's end is told to the run that started it, and to none that came after that one:
        neither to what it went on as, nor to what it was reset to.
        """
        if run.parent is not None and run.ending is not Ending.CONTINUED:
            parent, seq = run.parent
            completed = run.ending is Ending.COMPLETED
            failure = None if completed else jobs.child_failure(run.failure)
            self._tell(parent, jobs.child_ended(seq, run.result, failure))

    def _end(self, run: Run, ending: Ending) -> None:
        run.ending = ending
        self._tell_parent(run)
        for execution in [
            *run.executions.values(),
            *(run.task.waits_for.values() if run.task else []),
        ]:
            execution.forget()
        run.timers.clear()
        if run.instance is not None:
            run.instance.evict()
            run.instance = None

    def _resume_pending(self, run: Run, again: Run) -> None:
        """What the kept part asked for and has not been answered in it is asked for again."""
        answered = {
            (job.WhichOneof("variant"), jobs.seq_of(job))
            for job in itertools.chain(
                *(activation.jobs for task in again.history for activation in task.activations),
                again.inbox,
            )
        }
        for command in itertools.chain(*(task.commands for task in again.history)):
            variant = command.WhichOneof("variant")
            if variant == "update_response":
                _note_answer(again, command)
            if variant == "upsert_workflow_search_attributes":
                again.attention = jobs.attention_of(command, again.attention)
            expected = jobs.ANSWERS.get(variant or "")
            if expected and (expected, jobs.seq_of(command)) not in answered:
                self._carry_out(again, command)


_UNHANDLED = {
    "signal_workflow",
    "do_update",
    "cancel_workflow",
    "resolve_activity",
    "resolve_child_workflow_execution",
}


def _refuses(run: Run, asked: Any) -> bool:
    """Whether a child cannot be started because of this run of its id."""
    failed = run.ending in {Ending.FAILED, Ending.CANCELED, Ending.TERMINATED}
    return run.open or jobs.rejects(asked, failed=failed)


def _begin(execution: Execution) -> None:
    if not execution.closed:
        execution.begin()


def _pending_locals(task: Task) -> bool:
    return bool(task.waits_for)


def _note_answer(run: Run, command: WorkflowCommand) -> None:
    response = command.update_response
    if response.HasField("completed"):
        run.answers[response.protocol_instance_id] = Answer(result=response.completed)
    elif response.HasField("rejected"):
        run.answers[response.protocol_instance_id] = Answer(failure=response.rejected)
