"""The platform's worker, with the first activation of each workflow timed.

`worker.py` itself, only that its workflow runner is wrapped. CPU time of the thread, so that a busy
machine does not count. The times are written when the worker ends.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from pathlib import Path

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from recompense import workers

ROOT = Path(__file__).parents[1]


def time_first(instance: WorkflowInstance, made_seconds: float, times: list[float]) -> None:
    """Have the instance time its first activation, its making included."""
    activate = instance.activate

    def timed(act: WorkflowActivation) -> WorkflowActivationCompletion:
        instance.activate = activate  # type: ignore[method-assign]  # of this one instance
        begun = time.thread_time()
        done = activate(act)
        times.append(made_seconds + time.thread_time() - begun)
        return done

    instance.activate = timed  # type: ignore[method-assign]  # of this one instance


class TimedRunner(WorkflowRunner):
    """Wraps the runner of production."""

    def __init__(self, inner: WorkflowRunner, times: list[float]) -> None:
        self._inner = inner
        self._times = times

    def prepare_workflow(self, defn: object) -> None:
        """Prepare a workflow's type, as the wrapped runner does."""
        self._inner.prepare_workflow(defn)  # type: ignore[arg-type]  # passed on as it came

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Make an instance that times its first activation."""
        begun = time.thread_time()
        instance = self._inner.create_instance(det)
        time_first(instance, time.thread_time() - begun, self._times)
        return instance

    def set_worker_level_failure_exception_types(self, types: object) -> None:
        """Hand on what fails a workflow."""
        self._inner.set_worker_level_failure_exception_types(types)  # type: ignore[arg-type]  # passed on


def main(report: Path) -> None:
    """Work until SIGTERM, then write the times in milliseconds."""
    times: list[float] = []
    runner_of_production = workers.workflow_runner

    def timed(*, sandboxed: bool) -> WorkflowRunner:
        return TimedRunner(runner_of_production(sandboxed=sandboxed), times)

    workers.workflow_runner = timed
    runpy.run_path(str(ROOT / "worker.py"), run_name="__main__")
    report.write_text(json.dumps([1000 * seconds for seconds in times]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
