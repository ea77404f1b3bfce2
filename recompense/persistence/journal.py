"""The journal of effects: intent before the call, one sender at a time, the first final outcome
wins.

The rows are read and written under the operation's lock or by compare-and-set, so that two copies
of an activity, two runs
after a reset, and a late webhook can meet here without doubling or losing anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from recompense.contracts.provider import AnyMoneyCall, CallRecord, PayoutState
from recompense.contracts.steps import (
    AnswerSource,
    EffectAnswer,
    EffectPlan,
    KnownOutcome,
    is_undone,
)
from recompense.domain.failures import InvariantBroken
from recompense.persistence.saga_tables import JournalRow, OperationRun
from recompense.persistence.work import Work

_OUTCOME: TypeAdapter[KnownOutcome] = TypeAdapter(KnownOutcome)
ORPHAN_SUFFIX = ".orphan"
"""Ends the name of the step that undoes an orphan."""
_CALL: TypeAdapter[AnyMoneyCall] = TypeAdapter(AnyMoneyCall)


@dataclass(frozen=True)
class Position:
    """Which effect: unique together."""

    saga_id: str
    step: str
    attempt: int
    leg: int = 1

    def key(self) -> tuple[str, str, int, int]:
        """The primary key."""
        return (self.saga_id, self.step, self.attempt, self.leg)


def position(plan: EffectPlan) -> Position:
    """Where a planned effect stands in the journal."""
    return Position(plan.saga.saga_id, plan.step, plan.attempt, plan.leg)


def position_of(row: JournalRow) -> Position:
    """Where a row stands in the journal."""
    return Position(row.saga_id, row.step, row.attempt, row.leg)


def digest(call: AnyMoneyCall) -> str:
    """Fingerprint what would be sent, less the time limit, which differs between tries."""
    content = call.model_dump(mode="json", exclude={"send_by"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def intend(work: Work, plan: EffectPlan) -> JournalRow:
    """Journal an effect before it is sent, with the first send right where the plan carries one."""
    right = plan.right
    row = JournalRow(
        saga_id=plan.saga.saga_id,
        step=plan.step,
        attempt=plan.attempt,
        leg=plan.leg,
        provider=plan.provider,
        operation_id=plan.saga.operation_id,
        effect_key=plan.call.effect_key,
        call=plan.call.model_dump(mode="json"),
        call_digest=digest(plan.call),
        calls=[],
        right_run_id=right.run_id if right else None,
        sendable_until=right.send_by if right else None,
        first_sent_at=right.granted_at if right else None,
    )
    work.add(row)
    return row


async def read(work: Work, where: Position, *, lock: bool = False) -> JournalRow | None:
    """Read one effect's row."""
    return await work.get(JournalRow, where.key(), lock=lock)


async def require(work: Work, where: Position) -> JournalRow:
    """Read and lock one effect's row; an effect that was never journaled is a broken invariant."""
    row = await read(work, where, lock=True)
    if row is None:
        raise InvariantBroken(f"{where.step} of {where.saga_id} was never journaled")
    return row


def known_answer(row: JournalRow) -> EffectAnswer | None:
    """What the journal knows of an effect; None while nobody knows."""
    if row.outcome is None:
        return None
    return EffectAnswer(
        outcome=_OUTCOME.validate_python(row.outcome),
        source=AnswerSource.JOURNAL,
        payout_state=None if row.payout_state is None else PayoutState(row.payout_state),
    )


def stays(undo: JournalRow | None) -> bool:
    """Whether an effect stands for good: no undo was journaled, or the provider has refused it."""
    if undo is None:
        return True
    known = known_answer(undo)
    return known is not None and known.outcome.kind == "declined" and not is_undone(known)


def call_of(row: JournalRow) -> AnyMoneyCall:
    """The call as it was journaled."""
    return _CALL.validate_python(row.call)


def write_outcome(work: Work, row: JournalRow, answer: EffectAnswer) -> bool:
    """Write what became known. Returns False when the row already holds a different final outcome:
    a person must look.

    A first final outcome never changes; what is not final may be told again and may become final.
    """
    kind = answer.outcome.kind
    _append_calls(row, answer.calls)
    if answer.payout_state is not None:
        # A person's word knows no such state: that a payout came back must not be lost to it.
        row.payout_state = answer.payout_state
    if row.final:
        return _agrees(row, answer)
    row.outcome = answer.outcome.model_dump(mode="json")
    row.outcome_kind = kind
    row.outcome_source = answer.source
    row.final = answer.is_final
    row.recorded_at = work.clock
    return True


def _agrees(row: JournalRow, answer: EffectAnswer) -> bool:
    if row.outcome_kind != answer.outcome.kind:
        return not answer.is_final
    known = (row.outcome or {}).get("reference")
    told = getattr(answer.outcome, "reference", None)
    return known == told or known is None or told is None


def _append_calls(row: JournalRow, calls: Sequence[CallRecord]) -> None:
    if calls:
        row.calls = [*row.calls, *(call.model_dump(mode="json") for call in calls)]


async def take_right(
    work: Work, row: JournalRow, run_id: str, right_try: int, seconds: float
) -> datetime | None:
    """Take the send right by compare-and-set against the right that `row` was read with. None:
    somebody was faster.
    """
    send_by = await work.now() + timedelta(seconds=seconds)
    taken = await work.take_right(row, run_id=run_id, right_try=right_try, send_by=send_by)
    return send_by if taken else None


async def take_further_right(work: Work, row: JournalRow, run_id: str, seconds: float) -> datetime:
    """The right to send a further call about an effect that is known, such as what its payer
    brought back. The row has to be locked, so nothing else changes its right meanwhile.
    """
    send_by = await work.now() + timedelta(seconds=seconds)
    row.right_run_id, row.right_try, row.sendable_until = run_id, row.right_try + 1, send_by
    return send_by


async def had_further_call(work: Work, row: JournalRow) -> bool:
    """Whether a further call about an effect was ever under way: its right is then held by another
    run than those of its saga.
    """
    holder = row.right_run_id
    return holder is not None and await work.get(OperationRun, (row.saga_id, holder)) is None


async def further_call_ends_in(work: Work, row: JournalRow) -> float:
    """For how many seconds more a further call about an effect may be sent; 0: by nobody."""
    ends = row.sendable_until
    if ends is None or not await had_further_call(work, row):
        return 0.0
    return max(0.0, (ends - await work.now()).total_seconds())


async def lay_right_down(
    work: Work,
    where: Position,
    run_id: str,
    right_try: int,
    calls: Sequence[CallRecord],
) -> None:
    """The holder has ended its try and will not send any more: the next sender need not wait for
    the right to run out.
    """
    row = await read(work, where, lock=True)
    if row is None:
        return
    _append_calls(row, calls)
    if row.right_run_id == run_id and row.right_try == right_try and row.sendable_until:
        row.sendable_until = min(row.sendable_until, await work.now())


async def conclude_absent(
    work: Work,
    row: JournalRow,
    calls: Sequence[CallRecord],
    source: AnswerSource = AnswerSource.LOOKUP,
) -> bool:
    """Close an effect as never made, so that no copy can send it any more. False: somebody sent or
    learned something meanwhile.
    """
    made = [call.model_dump(mode="json") for call in calls]
    return await work.conclude_absent(row, made, source)
