"""A saga's steps, read from its attempts and its journal."""

from __future__ import annotations

from collections.abc import Iterable

from recompense.contracts.steps import is_undone
from recompense.desk.models import (
    AuditEntry,
    CompensationShown,
    ProviderCall,
    RunSeen,
    SagaStep,
    StepState,
)
from recompense.desk.rows import Story
from recompense.domain.effects import AttemptState
from recompense.persistence import journal
from recompense.persistence.saga_tables import Attempt, JournalRow, Operation

ADMIT = "admit"
"""The first step of every saga: decide, and reserve. Its compensation is the release."""

RELEASE = "release"
_UNDO_SUFFIXES = (".undo", ".orphan", ".cancel")
_STATES = {
    "approved": StepState.DONE,
    "declined": StepState.DECLINED,
    "absent": StepState.NOT_MADE,
    "pending": StepState.WAITING,
    "requires_action": StepState.WAITING,
}


def steps_of(story: Story) -> tuple[SagaStep, ...]:
    """All steps of all attempts, in the order in which they were begun."""
    steps = []
    for attempt in story.attempts:
        steps.append(_admit_step(story.operation, attempt))
        rows = [row for row in story.journal if row.attempt == attempt.number]
        steps += [_provider_step(row, rows) for row in rows if not is_undo(row)]
    return tuple(steps)


def is_undo(row: JournalRow) -> bool:
    """Whether an effect takes another one back."""
    return row.step.endswith(_UNDO_SUFFIXES)


def state_of(row: JournalRow) -> StepState:
    """Where one journaled effect stands by itself."""
    if row.outcome_kind is None:
        return StepState.INTENDED if row.first_sent_at is None else StepState.UNKNOWN
    return _STATES[row.outcome_kind]


def _admit_step(operation: Operation, attempt: Attempt) -> SagaStep:
    refusal = (attempt.decision or {}).get("refusal")
    released = RELEASE in undone_by(attempt)
    state = StepState.DECLINED if refusal else StepState.DONE
    if attempt.decision is None:
        state = StepState.INTENDED
    elif released:
        state = StepState.COMPENSATED
    present = attempt.number == operation.attempt
    releasing = present and operation.attempt_state == AttemptState.COMPENSATING
    return SagaStep(
        name=ADMIT,
        attempt=attempt.number,
        state=state,
        effect_key=None,
        outcome=f"refused: {refusal['code']}" if refusal else None,
        compensation=f"{RELEASE}: done" if released else f"{RELEASE}: due" if releasing else None,
    )


def _provider_step(row: JournalRow, rows: Iterable[JournalRow]) -> SagaStep:
    undos = [undo for undo in rows if is_undo(undo) and undo.step.startswith(f"{row.step}.")]
    state, compensation = state_of(row), None
    if undos:
        # An undo that was refused is tried again as a further leg: the newest counts.
        undo = undos[-1]
        how = state_of(undo)
        compensation = f"{undo.call['operation']}: {how.value.replace('_', ' ')}"
        known = journal.known_answer(undo)
        if undo.final and known is not None and is_undone(known):
            state = StepState.COMPENSATED
    return SagaStep(
        name=row.step,
        attempt=row.attempt,
        state=state,
        effect_key=row.effect_key,
        outcome=row.outcome_kind,
        compensation=compensation,
    )


def undone_by(attempt: Attempt) -> tuple[str, ...]:
    """What the compensation of an attempt has taken back."""
    return tuple((attempt.report or {}).get("undone", ()))


def compensations_of(story: Story) -> tuple[CompensationShown, ...]:
    """How each attempt was taken back that was."""
    return tuple(
        CompensationShown(
            attempt=attempt.number,
            cause=str(attempt.report["cause"]["message"]),
            undone=undone_by(attempt),
        )
        for attempt in story.attempts
        if attempt.report is not None
    )


def calls_of(story: Story) -> tuple[ProviderCall, ...]:
    """All calls to providers, in order."""
    calls = [
        ProviderCall.model_validate({**call, "step": row.step, "attempt": row.attempt})
        for row in story.journal
        for call in row.calls
    ]
    return tuple(sorted(calls, key=lambda call: call.at))


def runs_of(story: Story) -> tuple[RunSeen, ...]:
    """The runs that were seen."""
    return tuple(
        RunSeen(
            run_id=run.run_id,
            workflow_id=run.workflow_id,
            attempt=run.attempt,
            first_seen_at=run.first_seen_at,
        )
        for run in story.runs
    )


def audit_of(story: Story) -> tuple[AuditEntry, ...]:
    """What people did."""
    return tuple(
        AuditEntry(at=entry.at, actor=entry.actor, action=entry.action, reason=entry.reason)
        for entry in story.audit
    )
