"""What every in-house step does first: stand on its operation, read its journal row, and keep what
nobody may lose.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from activities import orphans
from activities.toolbox import Toolbox, current_run
from recompense.contracts.provider import Declined
from recompense.contracts.sagas import Refusal, SagaRef, Verdict
from recompense.contracts.steps import EffectPlan, RecordEffect, StepRef, UndoCause
from recompense.domain.effects import AttemptState
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import SagaState
from recompense.persistence import journal
from recompense.persistence.operations import (
    Standing,
    decision_of,
    end_attempt,
    locked,
    move_attempt,
    set_saga_state,
    stand,
)
from recompense.persistence.saga_tables import JournalRow, Operation
from recompense.persistence.work import Work


@dataclass
class Recording:
    """A step that records: `books` tells whether the rows and the ledger still have to follow this
    outcome.
    """

    verdict: Verdict
    operation: Operation
    row: JournalRow
    books: bool
    orphan_undo: EffectPlan | None = None


async def begin_record(tools: Toolbox, work: Work, record: RecordEffect) -> Recording:
    """Lock the operation, write the outcome into the journal, and say whether there is anything
    left to book.

    An outcome that arrives for an attempt that is compensating or closed is kept, as an orphan
    where nobody would undo it.
    """
    where = journal.Position(record.saga.saga_id, record.step, record.attempt, record.leg)
    await work.lock_step(where.key(), current_run().run_id, record.saga)
    standing = await stand(work, record.saga, current_run(), step_attempt=record.attempt)
    row = await journal.require(work, where)
    if not standing.proceeds:
        undo = await orphans.adopt(tools, work, record.saga, row, record.answer)
        return Recording(standing.verdict, standing.operation, row, books=False, orphan_undo=undo)
    if not journal.write_outcome(work, row, record.answer):
        return Recording(Verdict.CONFLICT, standing.operation, row, books=False)
    if standing.operation.saga_state == SagaState.PARKED:
        set_saga_state(work, standing.operation, SagaState.RUNNING)
        await work.show_attention(record.saga)
    books = not row.booked
    # The final word of an event may be in the row before the answer that it overtook: what is
    # booked here is the answer, and the word still has to be.
    row.booked = row.booked or record.answer.is_final
    return Recording(Verdict.PROCEED, standing.operation, row, books=books)


async def finish(work: Work, operation: Operation) -> None:
    """The attempt is recorded: its outcome stands and nothing takes it back any more."""
    move_attempt(operation, AttemptState.RECORDED)
    set_saga_state(work, operation, SagaState.DONE)


async def refuse(work: Work, standing: Standing, refusal: Refused | Refusal) -> Refusal:
    """The state or a rule forbids the operation: nothing moved, and a reset is told the same."""
    if isinstance(refusal, Refused):
        refusal = Refusal(code=refusal.code, message=refusal.message, members=refusal.members)
    operation = standing.operation
    operation.failure = refusal.model_dump(mode="json")
    await finish(work, operation)
    await end_attempt(work, _ref(operation), standing.attempt)
    return refusal


@dataclass
class Releasing:
    """A compensation of an in-house step: `due` is false when there is nothing to release."""

    operation: Operation
    due: bool
    cause: UndoCause


async def begin_release(work: Work, step: StepRef) -> Releasing:
    """Lock the operation for a compensation. An attempt that is closed, or was recorded, has
    nothing to release.
    """
    operation = await locked(work, step.saga.saga_id)
    attempt = await decision_of(work, step.saga, step.attempt)
    due = operation.attempt == step.attempt and operation.attempt_state == AttemptState.COMPENSATING
    report = attempt.report or {}
    if due and "cause" not in report:
        raise InvariantBroken(f"{operation.saga_id} compensates without a cause")
    cause = report.get("cause") or {"code": "unknown", "message": "It was taken back."}
    return Releasing(operation, due, UndoCause.model_validate(cause))


def failure_of(cause: UndoCause) -> dict[str, str | None]:
    """What the resource shows as its failure after it was taken back."""
    return {
        "code": cause.code,
        "message": cause.message,
        "provider_code": cause.provider_code,
    }


def decline_of(outcome: Declined) -> dict[str, str | None]:
    """What the resource shows as its failure after the provider declined it."""
    return {
        "code": outcome.code,
        "message": outcome.message,
        "provider_code": outcome.provider_code,
    }


def stored(view: BaseModel) -> dict[str, object]:
    """A decision as it is stored with its attempt."""
    return view.model_dump(mode="json")


def _ref(operation: Operation) -> SagaRef:
    return SagaRef.model_validate(
        {
            "saga_id": operation.saga_id,
            "kind": operation.kind,
            "operation_id": operation.operation_id,
            "merchant_id": operation.merchant_id,
            "payment_id": operation.payment_id,
        }
    )
