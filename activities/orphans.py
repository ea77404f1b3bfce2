"""Orphans: effects that became known after their attempt was compensating or closed. Nothing known
is dropped.
"""

from __future__ import annotations

from activities.bookings import close_authorization, locked_payment, reserve_capture
from activities.plans import plan
from activities.toolbox import Toolbox
from recompense.contracts.provider import (
    AnyMoneyCall,
    Approved,
    CancelPayoutCall,
    CaptureCall,
    Declined,
    Pending,
    ProviderOperation,
    RequiresAction,
    VoidCall,
)
from recompense.contracts.sagas import SagaRef
from recompense.contracts.steps import EffectAnswer, EffectPlan, is_undone
from recompense.contracts.words import ORPHAN_QUESTION
from recompense.domain.effects import AttemptState, effect_key
from recompense.domain.failures import InvariantBroken
from recompense.ledger.postings import posting_key
from recompense.persistence import journal, outbox
from recompense.persistence.operations import locked
from recompense.persistence.saga_tables import JournalRow, Operation, Orphan
from recompense.persistence.views import uncaptured
from recompense.persistence.work import Work

Effective = Approved | Pending | RequiresAction
"""Outcomes that stand for an effect at the provider, or for one that may still come."""

_UNDO_SUFFIX = ".undo"


def undo_call(row: JournalRow, reference: str, step: str, leg: int = 1) -> AnyMoneyCall | None:
    """The call that takes an effect back; None: this kind of effect cannot be taken back."""
    call = journal.call_of(row)
    key = effect_key(call.operation_id, step, row.attempt, leg)
    common = {
        "operation_id": call.operation_id,
        "effect_key": key,
        "amount": call.amount,
        "currency": call.currency,
        "send_by": call.send_by,
    }
    if call.operation is ProviderOperation.AUTHORIZE:
        return VoidCall.model_validate({**common, "authorization_reference": reference})
    if call.operation is ProviderOperation.CREATE_PAYOUT:
        return CancelPayoutCall.model_validate({**common, "payout_reference": reference})
    return None


def undo_step(step: str) -> str:
    """The step that compensates a provider step: unique over all lifecycles that share the
    operation id.
    """
    return step + _UNDO_SUFFIX


async def adopt(
    tools: Toolbox,
    work: Work,
    saga: SagaRef,
    row: JournalRow,
    answer: EffectAnswer,
) -> EffectPlan | None:
    """Keep an answer that came too late for its attempt. Returns the undo that somebody has to
    carry out, if any.

    While the attempt is compensating, an effect that the journal did not know yet is left to that
    compensation.
    """
    known_before = row.outcome_kind
    agrees = journal.write_outcome(work, row, answer)
    outcome = answer.outcome
    if row.step.endswith(journal.ORPHAN_SUFFIX):
        # An undo has nothing to book beside its outcome.
        row.booked = row.final
        await _settle_late(work, saga, row)
        return None
    if not isinstance(outcome, Approved | Pending | RequiresAction):
        return None
    operation = await locked(work, saga.saga_id)
    compensates_it = (
        operation.attempt == row.attempt and operation.attempt_state == AttemptState.COMPENSATING
    )
    # One that had been given up as absent is not: the compensation has passed it by.
    left_to_it = compensates_it and known_before != "absent"
    if agrees and (left_to_it or known_before == "approved"):
        return None
    return await _open(tools, work, saga, operation, row, outcome)


async def note_reversal(work: Work, saga: SagaRef, row: JournalRow, answer: EffectAnswer) -> bool:
    """A person has to look when the provider takes back what is booked as done. False: it does not.

    The books stay as they are: what the reversal means for them is not the provider's to say.
    """
    stands_here = row.booked and row.outcome_kind == "approved"
    if not stands_here or not isinstance(answer.outcome, Declined):
        return False
    if await work.orphan_of(row) is None:
        reversal = Orphan(
            saga_id=row.saga_id,
            step=row.step,
            attempt=row.attempt,
            leg=row.leg,
            outcome=answer.outcome.model_dump(mode="json"),
            status="parked",
        )
        work.add(reversal)
        outbox.audit(
            work,
            actor="recompense",
            action="effect_reversed",
            target=saga.saga_id,
            reason="The provider took back what is booked as done.",
            step=row.step,
            attempt=row.attempt,
            effect_key=row.effect_key,
        )
        await ask_a_person(work, saga, row.step)
    return True


async def _open(
    tools: Toolbox,
    work: Work,
    saga: SagaRef,
    operation: Operation,
    row: JournalRow,
    outcome: Effective,
) -> EffectPlan | None:
    orphan = await work.orphan_of(row)
    step = row.step + journal.ORPHAN_SUFFIX
    call = undo_call(row, outcome.reference, step, row.leg)
    if orphan is None:
        orphan = Orphan(
            saga_id=row.saga_id,
            step=row.step,
            attempt=row.attempt,
            leg=row.leg,
            outcome=outcome.model_dump(mode="json"),
            status="open" if call else "parked",
        )
        work.add(orphan)
        if call is None:
            await _follow(work, saga, row, orphan, outcome)
        _tell(work, operation, row, orphan)
        if orphan.status == "parked":
            await ask_a_person(work, saga, row.step)
    elif orphan.outcome["kind"] != "approved" and isinstance(outcome, Approved):
        orphan.outcome = outcome.model_dump(mode="json")
        if orphan.status == "parked":
            await _follow(work, saga, row, orphan, outcome)
    if call is None or orphan.status != "open":
        return None
    undo = plan(tools, saga, step, row.attempt, row.provider, call, None, leg=row.leg)
    if await journal.read(work, journal.position(undo)) is None:
        journal.intend(work, undo)
    return undo


async def _follow(
    work: Work, saga: SagaRef, row: JournalRow, orphan: Orphan, outcome: Effective
) -> None:
    """Let the payment follow what nothing can take back.

    A void that stands moves no money: the payment is voided, and nobody has to decide. One that
    took its own attempt's authorization back says nothing of the present one. What a capture has
    taken is kept of the hold until a person has decided.
    """
    call = journal.call_of(row)
    if not isinstance(call, VoidCall | CaptureCall) or not isinstance(outcome, Approved):
        return
    payment = await locked_payment(work, saga)
    if isinstance(call, VoidCall):
        orphan.status, orphan.settled_at = "adopted", work.clock
        if row.step.endswith(_UNDO_SUFFIX):
            return
    elif uncaptured(payment) >= call.amount:
        orphan.reserved = call.amount
        reserve_capture(payment, call.amount)
    if isinstance(call, VoidCall) or call.final:
        key = posting_key(call.operation_id, row.step + journal.ORPHAN_SUFFIX, row.attempt)
        await close_authorization(work, payment, key)


async def _settle_late(work: Work, saga: SagaRef, row: JournalRow) -> None:
    """An undo that a person was asked to make has worked after all."""
    known = journal.known_answer(row)
    step = row.step.removesuffix(journal.ORPHAN_SUFFIX)
    orphan = await work.orphan_to_settle(row.saga_id, step, row.attempt, row.leg)
    if orphan is not None and orphan.status == "parked" and known is not None and is_undone(known):
        orphan.status, orphan.settled_at = "undone", work.clock
        await work.show_attention(saga)


async def settle(work: Work, undo: EffectPlan, *, undone: bool) -> bool:
    """Write that an orphan was undone, or that a person has to look. False: that was written
    before, by an earlier try.
    """
    step = undo.step.removesuffix(journal.ORPHAN_SUFFIX)
    orphan = await work.orphan_to_settle(undo.saga.saga_id, step, undo.attempt, undo.leg)
    if orphan is None:
        raise InvariantBroken(f"{undo.step} of {undo.saga.saga_id} undoes no orphan")
    status = "undone" if undone else "parked"
    if orphan.status in {"undone", status}:
        return False
    orphan.status = status
    orphan.settled_at = work.clock
    return True


async def ask_a_person(work: Work, saga: SagaRef, step: str) -> None:
    """Tell those who watch that an effect stands, and that a person has to decide about it."""
    await work.show_attention(saga)
    outbox.emit(
        work,
        "saga.parked",
        {
            "object": "saga",
            "workflow_id": saga.saga_id,
            "operation_id": saga.operation_id,
            "step": step,
            "question": ORPHAN_QUESTION,
        },
        merchant_id=saga.merchant_id,
        payment_id=saga.payment_id,
    )


def _tell(work: Work, operation: Operation, row: JournalRow, orphan: Orphan) -> None:
    outbox.audit(
        work,
        actor="recompense",
        action="orphan_undo" if orphan.status == "open" else f"orphan_{orphan.status}",
        target=operation.saga_id,
        reason="An effect became known after its attempt had been taken back.",
        step=row.step,
        attempt=row.attempt,
        effect_key=row.effect_key,
    )
