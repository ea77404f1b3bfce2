"""Operations, their attempts and the runs that were seen on them: who may do what, decided under
the operation's row lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recompense.contracts.sagas import SagaRef, Verdict
from recompense.domain.effects import ATTEMPT_TRANSITIONS, AttemptState
from recompense.domain.failures import InvariantBroken
from recompense.domain.states import SagaState
from recompense.persistence.saga_tables import Attempt, Operation, OperationRun
from recompense.persistence.work import Work


@dataclass(frozen=True)
class Run:
    """The Temporal run that an activity works for."""

    workflow_id: str
    run_id: str


@dataclass
class Standing:
    """An operation, locked, and how the run that asked has to go on.

    `fresh` is true when this transaction made the operation; `opened` is the attempt that it
    opened.
    """

    operation: Operation
    verdict: Verdict
    attempt: int
    fresh: bool = False
    opened: Attempt | None = None

    @property
    def proceeds(self) -> bool:
        """Whether the step may do its work."""
        return self.verdict is Verdict.PROCEED


def move_attempt(operation: Operation, target: AttemptState) -> None:
    """Move the present attempt along its transition table. Raises `InvariantBroken` on any other
    move.
    """
    current = AttemptState(operation.attempt_state)
    if target not in ATTEMPT_TRANSITIONS[current]:
        raise InvariantBroken(
            f"attempt {operation.attempt} of {operation.saga_id}"
            f" cannot move from {current} to {target}"
        )
    operation.attempt_state = target


def set_saga_state(
    work: Work, operation: Operation, state: SagaState, question: str | None = None
) -> None:
    """Say where the saga stands, for the people who watch."""
    operation.saga_state = state
    operation.question = question
    operation.since = work.clock


async def enter(
    work: Work,
    ref: SagaRef,
    run: Run,
    *,
    saga_input: dict[str, Any],
    requested_by: str,
    provider: str | None,
) -> Standing:
    """Register a run with its operation, making the operation where this is its first run (effects:
    a run registers first).

    Leaves the operation's row locked until the transaction ends.
    """
    operation = await work.insert_operation(
        {
            "saga_id": ref.saga_id,
            "kind": ref.kind,
            "operation_id": ref.operation_id,
            "payment_id": ref.payment_id,
            "merchant_id": ref.merchant_id,
            "provider": provider,
            "input": saga_input,
            "requested_by": requested_by,
            "attempt": 1,
            "attempt_state": AttemptState.OPEN,
            "saga_state": SagaState.RUNNING,
        }
    )
    if operation is None:
        return await stand(work, ref, run, step_attempt=None)
    opened = Attempt(saga_id=ref.saga_id, number=1, opened_by_run=run.run_id)
    work.add(opened)
    work.add(_seen(ref, run, attempt=1))
    return Standing(operation, Verdict.PROCEED, attempt=1, fresh=True, opened=opened)


async def stand(work: Work, ref: SagaRef, run: Run, *, step_attempt: int | None) -> Standing:
    """Lock the operation, register the run where it is new, and say how it has to go on.

    `step_attempt` is the attempt that the run believes to be working on; None: it has not been told
    one yet.
    """
    operation = await locked(work, ref.saga_id)
    seen = await work.get(OperationRun, (ref.saga_id, run.run_id))
    if seen is None:
        seen = await _register(work, ref, run, operation)
    return Standing(operation, _verdict(operation, seen, step_attempt), operation.attempt)


async def locked(work: Work, saga_id: str) -> Operation:
    """Lock an operation's row. Raises `InvariantBroken` when there is none."""
    return await existing(work, saga_id, lock=True)


async def existing(work: Work, saga_id: str, *, lock: bool = False) -> Operation:
    """An operation's row. Raises `InvariantBroken` when there is none."""
    operation = await work.get(Operation, saga_id, lock=lock)
    if operation is None:
        raise InvariantBroken(f"there is no operation {saga_id}")
    return operation


async def decision_of(work: Work, ref: SagaRef, attempt: int) -> Attempt:
    """The attempt's row, which keeps what `admit` decided."""
    row = await work.get(Attempt, (ref.saga_id, attempt))
    if row is None:
        raise InvariantBroken(f"attempt {attempt} of {ref.saga_id} has no row")
    return row


async def end_attempt(
    work: Work, ref: SagaRef, attempt: int, report: dict[str, Any] | None = None
) -> None:
    """Note when an attempt ended, and its compensation report where there is one."""
    await work.end_attempt(ref.saga_id, attempt, report)


async def _register(work: Work, ref: SagaRef, run: Run, operation: Operation) -> OperationRun:
    # Only a run that is first seen after the attempt has closed may pay afresh; one that was there
    # before could be a
    # second copy of the run that has just compensated.
    if operation.attempt_state == AttemptState.CLOSED and _replayable(operation):
        operation.attempt += 1
        operation.attempt_state = AttemptState.OPEN
        operation.failure = None
        set_saga_state(work, operation, SagaState.RUNNING)
        work.add(Attempt(saga_id=ref.saga_id, number=operation.attempt, opened_by_run=run.run_id))
    seen = _seen(ref, run, attempt=operation.attempt)
    work.add(seen)
    return seen


def _replayable(operation: Operation) -> bool:
    """A closed attempt is paid afresh only when it failed; one that ended as the caller was told
    (declined) stays so.
    """
    return operation.saga_state == SagaState.FAILED


def _seen(ref: SagaRef, run: Run, attempt: int) -> OperationRun:
    return OperationRun(
        saga_id=ref.saga_id, run_id=run.run_id, workflow_id=run.workflow_id, attempt=attempt
    )


def _verdict(operation: Operation, seen: OperationRun, step_attempt: int | None) -> Verdict:
    if seen.attempt < operation.attempt or operation.attempt_state == AttemptState.CLOSED:
        return Verdict.SUPERSEDED
    if step_attempt is not None and step_attempt < seen.attempt:
        return Verdict.START_OVER
    if operation.attempt_state == AttemptState.COMPENSATING:
        return Verdict.JOIN_COMPENSATION
    return Verdict.PROCEED
