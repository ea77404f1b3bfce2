"""Failover: what provably did not happen at one provider is made at the next of its route, as a leg
of its own, with an effect key of its own.

The route was decided with the attempt and does not change. Nothing fails over on an unknown
outcome, nor where a person has said what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from activities.plans import elsewhere, grant, plan, plan_of_row
from activities.routing import Route
from activities.steps import Recording
from activities.toolbox import Toolbox, current_run
from recompense.contracts.provider import Absent, Declined
from recompense.contracts.sagas import Verdict
from recompense.contracts.steps import AnswerSource, EffectPlan, RecordEffect
from recompense.domain.effects import effect_key
from recompense.persistence import journal
from recompense.persistence.operations import decision_of
from recompense.persistence.saga_tables import JournalRow
from recompense.persistence.work import Work


@dataclass(frozen=True)
class NextLeg:
    """The effect at the next provider. `is_new`: this transaction has made it, and the rows still
    have to follow.
    """

    effect: EffectPlan
    is_new: bool


async def next_leg(
    tools: Toolbox, work: Work, record: RecordEffect, recording: Recording
) -> NextLeg | None:
    """Journal the next leg of a step whose outcome allows it, with its first send right; or find
    the one that was journaled before.
    """
    if recording.verdict is not Verdict.PROCEED or not _moves_on(record, recording.row):
        return None
    route = await _route(work, record)
    where = journal.Position(record.saga.saga_id, record.step, record.attempt, record.leg + 1)
    made = await journal.read(work, where)
    if made is not None:
        effect = plan_of_row(tools, record.saga, made, current_run())
        rest = elsewhere(route, made.leg)
        return NextLeg(effect.model_copy(update={"elsewhere": rest}), is_new=False)
    if not recording.books or record.stays or record.leg >= len(route):
        return None
    effect = await _planned(tools, work, record, recording.row, route)
    journal.intend(work, effect)
    recording.operation.provider = effect.provider
    return NextLeg(effect, is_new=True)


def _moves_on(record: RecordEffect, row: JournalRow) -> bool:
    outcome = record.answer.outcome
    if isinstance(outcome, Declined):
        return outcome.retryable_elsewhere
    return isinstance(outcome, Absent) and row.outcome_source != AnswerSource.PERSON


async def _route(work: Work, record: RecordEffect) -> Route:
    attempt = await decision_of(work, record.saga, record.attempt)
    return tuple((attempt.decision or {}).get("route", ()))


async def _planned(
    tools: Toolbox, work: Work, record: RecordEffect, row: JournalRow, route: Route
) -> EffectPlan:
    leg, provider = record.leg + 1, route[record.leg]
    right = grant(tools, provider, current_run(), await work.now())
    key = effect_key(record.saga.operation_id, record.step, record.attempt, leg)
    changes = {"effect_key": key, "send_by": right.send_by}
    call = journal.call_of(row).model_copy(update=changes)
    effect = plan(tools, record.saga, record.step, record.attempt, provider, call, right, leg=leg)
    return effect.model_copy(update={"elsewhere": elsewhere(route, leg)})
