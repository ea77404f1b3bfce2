"""What a replay would do, told from the journal before anything is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import SagaKind
from recompense.desk.models import StepState
from recompense.desk.rows import Story
from recompense.desk.steps import is_undo, state_of
from recompense.domain.effects import AttemptState, effect_key
from recompense.persistence.saga_tables import JournalRow, Operation

_REVERSIBLE = frozenset({"authorize", "create_payout"})
"""Operations that a compensation takes back at the provider."""


class ReplayEffect(Frozen):
    """One effect at a provider, as a replay would treat it."""

    step: str
    attempt: int
    effect_key: str
    provider: str | None
    outcome: str | None


@dataclass
class Forecast:
    """`stands`: made and known, never made again. `would_make`: not made yet. `would_look_up`: may
    have been made, so the provider is asked before anything is sent.
    """

    attempt: int
    stands: list[ReplayEffect] = field(default_factory=list)
    would_make: list[ReplayEffect] = field(default_factory=list)
    would_look_up: list[ReplayEffect] = field(default_factory=list)

    def place(self, row: JournalRow) -> None:
        """Sort a journaled effect by what is known of it."""
        state = state_of(row)
        if state is StepState.INTENDED:
            self.would_make.append(_of_row(row))
        elif state in {StepState.UNKNOWN, StepState.WAITING}:
            self.would_look_up.append(_of_row(row))
        else:
            self.stands.append(_of_row(row))


def forecast(story: Story, *, goes_on: bool) -> Forecast:
    """What a run that is seen next would do; `goes_on` False: there will be none."""
    operation = story.operation
    opens = goes_on and operation.attempt_state == AttemptState.CLOSED
    told = Forecast(attempt=operation.attempt + (1 if opens else 0))
    compensates = operation.attempt_state == AttemptState.COMPENSATING
    for row in story.journal:
        # A forward effect that was never sent is not sent any more once its attempt is taken back.
        dropped = compensates and not is_undo(row) and state_of(row) is StepState.INTENDED
        if not dropped:
            told.place(row)
    if not goes_on:
        return told
    if compensates:
        told.would_make += _missing_undos(story)
    else:
        told.would_make += _missing_steps(operation, story.journal, told.attempt)
    return told


def _missing_steps(
    operation: Operation, journal: Sequence[JournalRow], attempt: int
) -> list[ReplayEffect]:
    begun = {row.step for row in journal if row.attempt == attempt}
    return [
        _planned(operation, step, attempt, None)
        for step in forward_steps(operation)
        if step not in begun
    ]


def _missing_undos(story: Story) -> list[ReplayEffect]:
    operation = story.operation
    present = [row for row in story.journal if row.attempt == operation.attempt]
    begun = {row.step for row in present}
    return [
        _planned(operation, f"{row.step}.undo", row.attempt, row.provider)
        for row in present
        if row.call["operation"] in _REVERSIBLE
        and state_of(row) in {StepState.DONE, StepState.WAITING}
        and f"{row.step}.undo" not in begun
    ]


def forward_steps(operation: Operation) -> tuple[str, ...]:
    """The steps at a provider that an attempt makes when nothing goes wrong."""
    kind = SagaKind(operation.kind)
    if kind is SagaKind.AUTHORIZE and operation.input.get("capture_method") == "automatic":
        return ("authorize", "capture")
    if kind is SagaKind.VOID:
        return (f"void.{operation.input['number']}",)
    return (kind.value,)


def _planned(operation: Operation, step: str, attempt: int, provider: str | None) -> ReplayEffect:
    return ReplayEffect(
        step=step,
        attempt=attempt,
        effect_key=effect_key(operation.operation_id, step, attempt),
        provider=provider,
        outcome=None,
    )


def _of_row(row: JournalRow) -> ReplayEffect:
    return ReplayEffect(
        step=row.step,
        attempt=row.attempt,
        effect_key=row.effect_key,
        provider=row.provider,
        outcome=row.outcome_kind,
    )
