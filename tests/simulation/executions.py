"""Activities, run for real on virtual time: the executor, retries and timeouts of Temporal.

An activity is a coroutine that nobody but this file drives. It gives the clock back only where it
waits for a provider; a transaction runs whole.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from temporalio import activity
from temporalio.activity import _ActivityCancellationDetailsHolder, _Context, _Definition
from temporalio.api.common.v1 import Payload
from temporalio.api.common.v1 import RetryPolicy as RetryPolicyProto
from temporalio.api.failure.v1 import Failure
from temporalio.common import Priority, _CompositeEvent
from temporalio.exceptions import ApplicationError, TimeoutError, TimeoutType

from activities.boundary import as_application_error
from tests.simulation.clock import EPOCH, Clock, Stuck
from tests.simulation.instances import NAMESPACE, decoded, failure_of, payload

HOPELESS = 50
"""Tries after which an activity that may be tried for ever is taken to fail for ever."""


class Killed(BaseException):
    """The worker died here. Nothing after this line happens, and nobody is told."""


@dataclass(frozen=True)
class Pause:
    """Wait on the virtual clock."""

    seconds: float

    def __await__(self) -> Generator[float, None, None]:
        """Give the clock back for so long."""
        yield self.seconds


@dataclass(frozen=True)
class Order:
    """What a workflow asked for: one activity, with its options. Seconds; 0: no limit."""

    name: str
    arguments: tuple[Payload, ...]
    start_to_close: float
    schedule_to_close: float
    retry: RetryPolicyProto
    local: bool
    workflow_id: str
    run_id: str

    def retryable(self, error: BaseException) -> bool:
        """Whether Temporal would try again after this failure."""
        if not isinstance(error, ApplicationError):
            return True
        return not error.non_retryable and error.type not in self.retry.non_retryable_error_types

    def wait(self, attempt: int, error: BaseException) -> float:
        """How long until the next try."""
        if isinstance(error, ApplicationError) and error.next_retry_delay is not None:
            return error.next_retry_delay.total_seconds()
        initial = _seconds(self.retry.initial_interval) or 1.0
        longest = _seconds(self.retry.maximum_interval) or 100 * initial
        return min(longest, initial * (self.retry.backoff_coefficient or 2.0) ** (attempt - 1))


Done = Callable[[Payload | None, Failure | None], None]
Implementation = Callable[..., Coroutine[Any, Any, Any]]


class Executor:
    """Runs orders. `on_try` is told of each try before it starts."""

    def __init__(self, clock: Clock, implementations: Mapping[str, Implementation]) -> None:
        self.clock = clock
        self.implementations = {
            name: (function, _types_of(function)) for name, function in implementations.items()
        }
        self.tries: list[_Try] = []
        self.log: list[str] = []
        self.parks: list[Order] = []
        self.on_try: Callable[[Order, int], None] = lambda order, attempt: None
        self.on_killed: Callable[[], None] = lambda: None

    def run(self, order: Order, done: Done) -> Execution:
        """Carry an order out; `done` is called once, unless the execution is forgotten."""
        execution = Execution(self, order, done)
        execution.begin()
        return execution

    def kill_all(self) -> None:
        """The worker dies: no try that is under way goes on."""
        for running in list(self.tries):
            running.kill()


@dataclass
class Execution:
    """One activity as the server sees it: tries, until it is done."""

    executor: Executor
    order: Order
    done: Done
    attempt: int = 0
    closed: bool = False
    last: BaseException | None = None
    scheduled: float = field(default=0.0)

    def begin(self) -> None:
        """Schedule it."""
        self.scheduled = self.executor.clock.seconds
        if self.order.schedule_to_close:
            self.executor.clock.after(self.order.schedule_to_close, self._too_long)
        self._try()

    def forget(self) -> None:
        """Nobody waits any more: its run has ended. A try under way does not know, and goes on."""
        self.closed = True

    def _try(self) -> None:
        if self.closed:
            return
        self.attempt += 1
        attempt = self.attempt
        running = _Try(self, attempt)
        if self.order.start_to_close and not self.order.local:
            self.executor.clock.after(
                self.order.start_to_close, lambda: self._timed_out(running, attempt)
            )
        self.executor.on_try(self.order, attempt)
        running.start()

    def _timed_out(self, running: _Try, attempt: int) -> None:
        if not self.closed and attempt == self.attempt and not running.told:
            running.told = True
            timeout = TimeoutError(
                "start to close", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[]
            )
            self._failed(timeout)

    def _too_long(self) -> None:
        if not self.closed:
            timeout = TimeoutError(
                "schedule to close", type=TimeoutType.SCHEDULE_TO_CLOSE, last_heartbeat_details=[]
            )
            timeout.__cause__ = self.last
            self._close(None, timeout)

    def answered(self, result: Any) -> None:
        """A try came back with a result."""
        if not self.closed:
            self.closed = True
            self.done(payload(result), None)

    def failed_try(self, error: BaseException) -> None:
        """A try came back with an error."""
        if not self.closed:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.last = error
        if self.attempt >= HOPELESS:
            raise Stuck(f"{self.order.name} fails for ever: {error}")
        wait = self.order.wait(self.attempt, error)
        most = self.order.retry.maximum_attempts
        late = (
            self.order.schedule_to_close
            and self.executor.clock.seconds + wait > self.scheduled + self.order.schedule_to_close
        )
        if not self.order.retryable(error) or (most and self.attempt >= most) or late:
            self._close(None, error)
        else:
            self.executor.clock.after(wait, self._try)

    def _close(self, result: Payload | None, error: BaseException) -> None:
        self.closed = True
        self.done(result, failure_of(error))


class _Try:
    """One try on a worker: a coroutine, in a context of its own."""

    def __init__(self, execution: Execution, attempt: int) -> None:
        self._execution = execution
        self._attempt = attempt
        self._context = contextvars.copy_context()
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self.told = False

    def start(self) -> None:
        """Begin."""
        order, executor = self._execution.order, self._execution.executor
        function, types = executor.implementations[order.name]
        info = _info(order, self._attempt)
        self._context.run(_Context.set, _context_of(info))
        self._coroutine = function(*decoded(order.arguments, types))
        executor.tries.append(self)
        executor.log.append(order.name)
        if order.name == "saga.park":
            executor.parks.append(order)
        self._step()

    def kill(self) -> None:
        """Its worker has died: the server finds out when its time is up."""
        if self._coroutine is not None:
            coroutine, self._coroutine = self._coroutine, None
            self._leave()
            self._context.run(coroutine.close)

    def _step(self) -> None:
        if self._coroutine is None:
            return
        try:
            seconds = self._context.run(self._coroutine.send, None)
        except StopIteration as stop:
            self._leave()
            if not self.told:
                self.told = True
                self._execution.answered(stop.value)
        except Killed:
            self._leave()
            self._coroutine = None
            self._execution.executor.on_killed()
        except Exception as error:
            self._leave()
            if not self.told:
                self.told = True
                self._execution.failed_try(as_application_error(error) or error)
        else:
            self._execution.executor.clock.after(cast(float, seconds), self._step)

    def _leave(self) -> None:
        self._execution.executor.tries.remove(self)


def _types_of(function: Implementation) -> list[type] | None:
    # Not by `must_from_callable`: it copies the definition, of each activity in each case.
    definition: _Definition = function.__temporal_activity_definition  # type: ignore[attr-defined]
    return definition.arg_types


def _timeout(kind: TimeoutType) -> TimeoutError:
    return TimeoutError(kind.name, type=kind, last_heartbeat_details=[])


def _seconds(duration: Any) -> float:
    return float(duration.seconds) + float(duration.nanos) / 1e9


_NEVER = _CompositeEvent(thread_event=None, async_event=None)


def _context_of(info: activity.Info) -> _Context:
    return _Context(
        info=lambda: info,
        heartbeat=None,
        cancelled_event=_NEVER,
        worker_shutdown_event=_NEVER,
        shield_thread_cancel_exception=None,
        payload_converter_class_or_instance=None,  # type: ignore[arg-type]  # no activity asks
        runtime_metric_meter=None,
        client=None,
        cancellation_details=_ActivityCancellationDetailsHolder(),
    )


def _info(order: Order, attempt: int) -> activity.Info:
    return activity.Info(
        activity_id="1",
        activity_type=order.name,
        attempt=attempt,
        current_attempt_scheduled_time=EPOCH,
        heartbeat_details=[],
        heartbeat_timeout=None,
        is_local=order.local,
        namespace=NAMESPACE,
        schedule_to_close_timeout=timedelta(seconds=order.schedule_to_close),
        scheduled_time=EPOCH,
        start_to_close_timeout=timedelta(seconds=order.start_to_close),
        started_time=EPOCH,
        task_queue="simulated",
        task_token=b"",
        workflow_id=order.workflow_id,
        workflow_namespace=NAMESPACE,
        workflow_run_id=order.run_id,
        workflow_type=None,
        priority=Priority(),
        retry_policy=None,
    )
