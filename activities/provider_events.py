"""The inbox: what a provider told us is pulled, applied along the transition tables, and passed to
the saga that waits.
"""

from __future__ import annotations

from temporalio import activity

from activities import orphans
from activities.bookings import locked_payment, next_action, tell_payment
from activities.payout_bookings import locked_payout, post_returned
from activities.plans import plan_of_row, saga_of
from activities.toolbox import Toolbox
from recompense.contracts.payer_actions import PAYER_RETURNED
from recompense.contracts.port_extras import CompletesActions, innermost
from recompense.contracts.provider import PayoutState, RequiresAction
from recompense.contracts.sagas import ProviderEventInput, SagaKind
from recompense.contracts.steps import (
    AnswerSource,
    ApplyEvent,
    EventApplied,
    EventTarget,
    PageRequest,
    ProviderWord,
    SettleOrphan,
    is_undone,
)
from recompense.domain.effects import AttemptState
from recompense.domain.states import PaymentStatus, PayoutStatus
from recompense.persistence import journal
from recompense.persistence.operations import existing, locked
from recompense.persistence.saga_tables import JournalRow, Operation, ProviderEventRow
from recompense.persistence.work import Work

RELAY_AFTER_SECONDS = 5.0
"""How old a stored event must be before the relay takes it up: its own workflow usually has it by
then.
"""


class ProviderEventActivities:
    """Load, apply and relay inbound webhooks."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="provider_event.load")
    async def load(self, event: ProviderEventInput) -> EventTarget:
        """Find the effect that a stored event speaks of.

        An event about nothing of ours ends here.
        """
        async with self._tools.store.work() as work:
            stored = await work.get(ProviderEventRow, (event.provider, event.event_id))
            if stored is None or stored.status != "received":
                return EventTarget()
            row = await self._row_of(work, stored)
            if row is None:
                await work.mark_event(event.provider, event.event_id, "ignored", "not one of ours")
                return EventTarget()
            operation = await existing(work, row.saga_id)
            return EventTarget(
                effect=plan_of_row(self._tools, saga_of(operation), row, None),
                completes=self._completes(stored),
            )

    def _completes(self, stored: ProviderEventRow) -> bool:
        port = innermost(self._tools.providers.port(stored.provider))
        return stored.event_type == PAYER_RETURNED and isinstance(port, CompletesActions)

    async def _row_of(self, work: Work, stored: ProviderEventRow) -> JournalRow | None:
        """The effect of an event: by its key where the provider echoes it, else the operation's
        newest forward effect.

        Where webhooks are the truth, the provider's own name of an effect goes first: they may tell
        of a modification under the payment's key.
        """
        operation_id, reference = stored.operation_id, stored.object_reference
        capabilities = self._tools.providers.capabilities(stored.provider)
        if capabilities.truth_by_webhook and operation_id is not None and reference is not None:
            made = await work.effect_made_as(operation_id, stored.provider, reference)
            if made is not None:
                return made
        if stored.effect_key is not None:
            return await work.effect_by_key(stored.effect_key)
        if operation_id is None:
            return None
        return await work.newest_effect(operation_id, stored.provider)

    @activity.defn(name="provider_event.apply")
    async def apply(self, apply: ApplyEvent) -> EventApplied:
        """Apply what the provider says now, along the transition tables only."""
        async with self._tools.store.work() as work:
            operation = await locked(work, apply.effect.saga.saga_id)
            row = await journal.require(work, journal.position(apply.effect))
            applied = await self._apply(work, operation, row, apply)
            await work.mark_event(apply.provider, apply.event_id, "applied", applied.detail)
            return applied

    async def _apply(
        self, work: Work, operation: Operation, row: JournalRow, apply: ApplyEvent
    ) -> EventApplied:
        if apply.answer.source is AnswerSource.JOURNAL:
            return EventApplied(detail="nothing new")
        present = operation.attempt == row.attempt
        waits = present and operation.attempt_state == AttemptState.OPEN
        if waits and not row.booked:
            # The saga books it; written here too, it outlives a saga that was terminated meanwhile.
            journal.write_outcome(work, row, apply.answer)
            await self._show_action(work, apply)
            return EventApplied(
                detail="told the saga that waits for it",
                signal=operation.saga_id,
                word=_word(apply),
            )
        row = await _as_taken_up(work, operation, row)
        paid = row.booked and row.outcome_kind == "approved"
        if operation.kind == SagaKind.PAYOUT and row.step == "payout" and paid:
            # A payout that was given up as absent or declined has no later life: news of it is an
            # orphan.
            return await self._later_life_of_payout(work, apply)
        if await orphans.note_reversal(work, apply.effect.saga, row, apply.answer):
            return EventApplied(detail="the provider took it back: a person is asked")
        undo = await orphans.adopt(self._tools, work, apply.effect.saga, row, apply.answer)
        detail = "an effect nobody waits for: it is taken back" if undo else "nothing new"
        return EventApplied(detail=detail, orphan_undo=undo)

    async def _show_action(self, work: Work, apply: ApplyEvent) -> None:
        """Show a further action of the payer: the saga waits on for the same word, and books
        nothing.
        """
        outcome = apply.answer.outcome
        if not isinstance(outcome, RequiresAction):
            return
        payment = await locked_payment(work, apply.effect.saga)
        action = next_action(outcome)
        if payment.status == PaymentStatus.REQUIRES_ACTION and payment.next_action != action:
            payment.next_action = action
            await tell_payment(work, payment)

    async def _later_life_of_payout(self, work: Work, apply: ApplyEvent) -> EventApplied:
        returned = apply.answer.payout_state is PayoutState.RETURNED
        payout = await locked_payout(work, apply.effect.saga)
        if returned and payout.status == PayoutStatus.PAID:
            await post_returned(work, payout, self._tools.payout_bank)
            return EventApplied(detail="a paid payout came back")
        return EventApplied(detail="nothing new")

    @activity.defn(name="provider_event.settle_orphan")
    async def settle_orphan(self, settle: SettleOrphan) -> None:
        """Write what became of an orphan's undo. Without an answer a person has to look."""
        async with self._tools.store.work() as work:
            await locked(work, settle.effect.saga.saga_id)
            if settle.answer is not None:
                row = await journal.require(work, journal.position(settle.effect))
                journal.write_outcome(work, row, settle.answer)
                row.booked = row.final
            undone = settle.answer is not None and is_undone(settle.answer)
            settled = await orphans.settle(work, settle.effect, undone=undone)
            if settled and not undone:
                await orphans.ask_a_person(work, settle.effect.saga, settle.effect.step)

    @activity.defn(name="provider_event.relay")
    async def relay(self, page: PageRequest) -> tuple[ProviderEventInput, ...]:
        """List stored events that nobody has applied yet, oldest first; those of the last day go
        before those that could not be applied for longer.
        """
        async with self._tools.store.work() as work:
            found = await work.unapplied_events(RELAY_AFTER_SECONDS, page.page_size)
            return tuple(
                ProviderEventInput(provider=row.provider, event_id=row.event_id) for row in found
            )


async def _as_taken_up(work: Work, operation: Operation, row: JournalRow) -> JournalRow:
    """The row by which a later attempt has taken this effect up: what becomes of it is that one's.

    The provider knows it by the first key for ever. An effect that nobody took up is its own row.
    """
    orphan = await work.orphan_of(row)
    if orphan is None or orphan.status != "adopted":
        return row
    for attempt in range(operation.attempt, row.attempt, -1):
        for later in await work.forward_effects(row.saga_id, attempt):
            same = (later.outcome or {}).get("reference") == orphan.outcome["reference"]
            if later.step == row.step and same:
                return later
    return row


def _word(apply: ApplyEvent) -> ProviderWord:
    effect = apply.effect
    answer = apply.answer.model_copy(update={"source": AnswerSource.EVENT})
    return ProviderWord(step=effect.step, attempt=effect.attempt, leg=effect.leg, answer=answer)
