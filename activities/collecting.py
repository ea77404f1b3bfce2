"""Payouts of a bank rail: an instruction is collected in our own database until its window closes.

It stands in for the call to the provider: the same send right, the same journal, the same look-up.
Taking an instruction in, taking it out and closing the window lock the instruction's row, so that
each is in one file or in none.
"""

from __future__ import annotations

from activities import told
from activities.toolbox import Toolbox
from recompense.contracts.port_extras import ReadsEvents
from recompense.contracts.provider import (
    Absent,
    Approved,
    CancelPayoutCall,
    CreatePayoutCall,
    Declined,
    Found,
    Outcome,
    PayoutState,
    Pending,
    ProviderOperation,
)
from recompense.contracts.steps import EffectPlan
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)
from recompense.persistence import journal
from recompense.persistence.batch_tables import PayoutBatchItem, PayoutBatchRow
from recompense.persistence.saga_tables import JournalRow
from recompense.persistence.work import Work

_WITHDRAWN = Declined(code="payout_canceled", message="It was canceled.")
_NOTHING_LEFT = Declined(code="already_canceled", message="It was taken back before.")
_NOT_HERE = Declined(code="provider_object_not_found", message="No instruction has this reference.")


async def create(tools: Toolbox, plan: EffectPlan, call: CreatePayoutCall) -> Outcome:
    """Collect an instruction, once for each effect key. `Pending` under the reference that the file
    will carry, or the adapter's refusal.
    """
    outcome = await tools.providers.port(plan.provider).create_payout(call)
    if not isinstance(outcome, Pending):
        return outcome
    async with tools.store.work() as work:
        item = await work.get(PayoutBatchItem, call.effect_key, lock=True)
        if item is None:
            await _still_wanted(work, plan, call)
            work.add(_item(plan, call, outcome.reference))
    return outcome if item is None or item.status != "withdrawn" else _WITHDRAWN


async def cancel(tools: Toolbox, plan: EffectPlan, call: CancelPayoutCall) -> Outcome:
    """Take an instruction out of its window; once that has closed the adapter's word counts."""
    async with tools.store.work() as work:
        await _still_wanted(work, plan, call)
        item = await work.item_with_reference(plan.provider, call.payout_reference)
        if item is None:
            return _NOT_HERE
        if item.status == "collected":
            item.status, item.withdrawn_by = "withdrawn", call.effect_key
        if item.status == "withdrawn":
            by_this = item.withdrawn_by == call.effect_key
            return Approved(reference=item.reference) if by_this else _NOTHING_LEFT
    return await tools.providers.port(plan.provider).cancel_payout(call)


async def take_out(work: Work, row: JournalRow) -> bool:
    """Take an instruction out of its window, for a person has said that it never happens.

    False: it stands in a file that has not gone yet, and will still be paid. What has gone before,
    or was never collected, is the person's to know.
    """
    item = await work.get(PayoutBatchItem, row.effect_key, lock=True)
    if item is None or item.status == "withdrawn":
        return True
    if item.status == "collected":
        item.status, item.withdrawn_by = "withdrawn", row.effect_key
        return True
    batch = await work.get(PayoutBatchRow, item.batch_id)
    return batch is not None and batch.status == "sent"


async def look_up(tools: Toolbox, plan: EffectPlan) -> Found:
    """What became of an instruction, or of its withdrawal. Raises `ProviderAnswerMismatch`."""
    key = plan.call.effect_key
    async with tools.store.work() as work:
        if plan.call.operation is ProviderOperation.CANCEL_PAYOUT:
            taken = await work.item_withdrawn_by(key)
            return Found(answer=Absent() if taken is None else Approved(reference=taken.reference))
        item = await work.get(PayoutBatchItem, key)
    if item is None:
        return Found(answer=Absent())
    if (item.amount, item.currency) != (plan.call.amount, plan.call.currency):
        raise ProviderAnswerMismatch("the instruction is of another amount or currency")
    if item.status == "withdrawn":
        return Found(answer=_WITHDRAWN, payout_state=PayoutState.CANCELED)
    under_way = Found(answer=Pending(reference=item.reference), payout_state=PayoutState.IN_TRANSIT)
    port = tools.providers.port(plan.provider)
    if item.status == "collected" or not isinstance(port, ReadsEvents):
        return under_way
    found = await told.look_up(tools, port, plan)
    return under_way if isinstance(found.answer, Absent) else found


async def _still_wanted(
    work: Work, plan: EffectPlan, call: CreatePayoutCall | CancelPayoutCall
) -> None:
    """Under the journal row's lock: nobody has concluded that it never happens, and nobody can once
    this commits, for a look-up takes the same lock and counts from the same right.
    """
    row = await journal.require(work, journal.position(plan))
    if row.final:
        raise OutcomeUnknown("its outcome became known meanwhile")
    if await work.now() > call.send_by:
        raise ProviderUnavailable("the send right had passed before it was written")


def _item(plan: EffectPlan, call: CreatePayoutCall, reference: str) -> PayoutBatchItem:
    return PayoutBatchItem(
        effect_key=call.effect_key,
        provider=plan.provider,
        operation_id=call.operation_id,
        reference=reference,
        amount=call.amount,
        currency=call.currency,
        token=call.token,
    )
