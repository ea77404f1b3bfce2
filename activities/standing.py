"""Orphans that stand: what a person decided to keep is taken up by the next attempt, which then
makes no effect of its own; what was undone at the provider is forgotten here.
"""

from __future__ import annotations

from dataclasses import dataclass

from activities.bookings import locked_payment, void_part
from recompense.contracts.provider import Approved, PayoutState
from recompense.contracts.sagas import SagaRef
from recompense.contracts.steps import AnswerSource, EffectAnswer, EffectPlan
from recompense.ledger.postings import posting_key
from recompense.persistence import journal, outbox
from recompense.persistence.saga_tables import JournalRow, Orphan
from recompense.persistence.work import Work


@dataclass(frozen=True)
class Standing:
    """An effect of an earlier attempt that stands at the provider and that nothing undoes."""

    orphan: Orphan
    row: JournalRow

    @property
    def amount(self) -> int:
        """What it moved, in minor units."""
        return journal.call_of(self.row).amount

    @property
    def answer(self) -> EffectAnswer:
        """What is known of it. The journal's row may say that it had been given up as absent."""
        state = self.row.payout_state
        return EffectAnswer(
            outcome=Approved.model_validate(self.orphan.outcome),
            source=AnswerSource.JOURNAL,
            payout_state=None if state is None else PayoutState(state),
        )


async def standing(work: Work, saga: SagaRef, step: str, attempt: int) -> Standing | None:
    """The effect of this step that an earlier attempt has left standing, if there is one.

    One whose undo was sent and not answered may be gone: it is none.
    """
    if attempt == 1:
        return None
    for orphan in await work.parked_orphans(saga.saga_id):
        where = journal.Position(orphan.saga_id, orphan.step, orphan.attempt, orphan.leg)
        row = await journal.require(work, where)
        made = orphan.step == step and orphan.outcome["kind"] == "approved"
        if made and await _stays(work, orphan):
            return Standing(orphan, row)
    return None


async def _stays(work: Work, orphan: Orphan) -> bool:
    step = orphan.step + journal.ORPHAN_SUFFIX
    undo = journal.Position(orphan.saga_id, step, orphan.attempt, orphan.leg)
    return journal.stays(await journal.read(work, undo))


async def intend(work: Work, effect: EffectPlan) -> EffectPlan:
    """Journal an effect before it is sent.

    Where the same effect of an earlier attempt stands, it is taken up: its outcome is known, and
    nobody gets the right to send another.
    """
    kept = await standing(work, effect.saga, effect.step, effect.attempt)
    if kept is None or not _is_the_same(effect, kept):
        journal.intend(work, effect)
        return effect
    effect = effect.without_right()
    row = journal.intend(work, effect)
    journal.write_outcome(work, row, kept.answer)
    kept.row.booked = True
    kept.orphan.status, kept.orphan.settled_at = "adopted", work.clock
    await work.show_attention(effect.saga)
    outbox.audit(
        work,
        actor="recompense",
        action="orphan_adopted",
        target=effect.saga.saga_id,
        reason=f"Attempt {effect.attempt} takes up an effect that stands.",
        step=effect.step,
        attempt=kept.orphan.attempt,
        effect_key=kept.row.effect_key,
    )
    return effect


def _is_the_same(effect: EffectPlan, kept: Standing) -> bool:
    call = journal.call_of(kept.row)
    return (call.amount, call.currency) == (effect.call.amount, effect.call.currency)


async def forget(work: Work, saga: SagaRef, orphan: Orphan, *, actor: str, reason: str) -> None:
    """A person has said that the effect was undone at the provider.

    What was kept of the hold for it goes back: a capture that was undone does not open the
    authorization again.
    """
    orphan.status, orphan.settled_at = "undone", work.clock
    if orphan.reserved:
        payment = await locked_payment(work, saga)
        payment.amount_capture_reserved -= orphan.reserved
        key = posting_key(saga.operation_id, f"{orphan.step}.undone", orphan.attempt)
        await void_part(work, payment, key, orphan.reserved)
    await work.show_attention(saga)
    outbox.audit(
        work,
        actor=actor,
        action="orphan_undone",
        target=saga.saga_id,
        reason=reason,
        step=orphan.step,
        attempt=orphan.attempt,
    )
