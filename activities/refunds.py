"""The in-house steps of a refund: reserve, record, and the release that takes `admit` back."""

from __future__ import annotations

from temporalio import activity

from activities.admission import Admission, decide_once
from activities.availability import pending_money
from activities.bookings import (
    derive_status,
    locked_payment,
    merchant_of,
    required,
    tell_payment,
)
from activities.standing import Standing, standing
from activities.steps import begin_record, begin_release, decline_of, failure_of, finish
from activities.toolbox import Toolbox
from recompense.contracts.provider import Approved, Declined, Pending, RefundCall
from recompense.contracts.sagas import RefundInput, SagaRef, Verdict
from recompense.contracts.steps import Admitted, Recorded, RecordEffect, StepRef
from recompense.contracts.views import RefundView
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import RefundStatus
from recompense.domain.terms import FeeSchedule
from recompense.ledger import templates
from recompense.ledger.accounts import merchant_available, merchant_pending, provider_clearing
from recompense.ledger.postings import OpenHold, TransferRef, posting_key
from recompense.persistence import outbox
from recompense.persistence.tables import Payment, Refund
from recompense.persistence.views import refund_view, refundable
from recompense.persistence.work import Work

STEP = "refund"


class RefundActivities:
    """Admit, record and release refunds."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="refund.admit")
    async def admit(self, admit: RefundInput) -> Admitted[RefundView]:
        """Reserve the refundable amount and the merchant's money for it, journal the refund and
        grant its send right.
        """

        async def decide(work: Work, admission: Admission) -> None:
            payment = await locked_payment(work, admission.saga)
            kept = await standing(work, admission.saga, STEP, admission.attempt)
            amount = _amount_to_refund(admit, payment, kept)
            await _reserve(work, admit, payment, amount, admission.attempt)
            provider = required(payment.provider)
            right = await admission.grant(provider)
            call = RefundCall(
                operation_id=admit.refund_id,
                effect_key=effect_key(admit.refund_id, STEP, admission.attempt),
                amount=amount,
                currency=payment.currency,
                send_by=right.send_by,
                authorization_reference=required(payment.provider_reference),
                reason=admit.reason,
            )
            await admission.intend(STEP, provider, call, right)

        return await decide_once(self._tools, admit, Admitted[RefundView], decide, _view)

    @activity.defn(name="refund.record")
    async def record(self, record: RecordEffect) -> Recorded[RefundView]:
        """Write the refund's outcome: post the reserved money, or give it back."""
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payment = await locked_payment(work, record.saga)
            refund = await _refund_of(work, record.saga)
            outcome = record.answer.outcome
            if recording.books and isinstance(outcome, Approved | Pending):
                refund.provider_reference = outcome.reference
            if recording.books and isinstance(outcome, Approved):
                await _post(work, payment, refund, record.attempt)
                await finish(work, recording.operation)
                await _tell(work, refund)
                await tell_payment(work, payment)
            elif recording.books and isinstance(outcome, Declined):
                failure = decline_of(outcome)
                await _give_back(work, payment, refund, record.attempt, failure)
                await finish(work, recording.operation)
                await _tell(work, refund)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=refund_view(refund),
                orphan_undo=recording.orphan_undo,
            )

    @activity.defn(name="refund.release")
    async def release(self, step: StepRef) -> Recorded[RefundView]:
        """Compensation of `refund.admit`: give the reserved money back. Nothing reserved is a
        success.
        """
        async with self._tools.store.work() as work:
            releasing = await begin_release(work, step)
            payment = await locked_payment(work, step.saga)
            refund = await work.get(Refund, step.saga.operation_id)
            if releasing.due and refund and refund.status == RefundStatus.PENDING:
                failure = failure_of(releasing.cause)
                await _give_back(work, payment, refund, step.attempt, failure)
                await _tell(work, refund)
            await work.flush()
            view = refund_view(refund) if refund else None
            return Recorded(verdict=Verdict.PROCEED, resource=view)


def _amount_to_refund(admit: RefundInput, payment: Payment, kept: Standing | None) -> int:
    available = refundable(payment)
    amount = kept.amount if kept else admit.amount or available
    if available <= 0 or amount > available:
        raise Refused("amount_exceeds_refundable", f"Only {available} minor units can be refunded.")
    return amount


async def _reserve(
    work: Work, admit: RefundInput, payment: Payment, amount: int, attempt: int
) -> None:
    pending = pending_money(payment)
    key = posting_key(admit.refund_id, f"{STEP}.reserve", attempt)
    posting = templates.refund_asked(
        key,
        payment_id=payment.id,
        provider=required(payment.provider),
        merchant_id=payment.merchant_id,
        amount=amount,
        payment_pending=pending,
        currency=payment.currency,
    )
    await work.post(posting)
    refund = await work.get(Refund, admit.refund_id)
    if refund is None:
        refund = Refund(
            id=admit.refund_id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=amount,
            currency=payment.currency,
            status=RefundStatus.PENDING,
            reason=admit.reason,
        )
        work.add(refund)
    refund.amount, refund.amount_from_pending = amount, min(amount, pending)
    refund.status, refund.failure, refund.hold_key = RefundStatus.PENDING, None, key
    payment.amount_refund_reserved += amount
    payment.amount_refunded_from_pending += refund.amount_from_pending


def _holds(payment: Payment, refund: Refund) -> list[OpenHold]:
    """The reservation of a refund: from pending first, then from available, as `refund_asked` wrote
    it.
    """
    parts = [
        (merchant_pending(payment.merchant_id), refund.amount_from_pending),
        (merchant_available(payment.merchant_id), refund.amount - refund.amount_from_pending),
    ]
    return [
        OpenHold(
            ref=TransferRef(required(refund.hold_key), line),
            debit=account,
            credit=provider_clearing(required(payment.provider)),
            currency=refund.currency,
            remaining=amount,
        )
        for line, (account, amount) in enumerate((p for p in parts if p[1]), start=1)
    ]


async def _post(work: Work, payment: Payment, refund: Refund, attempt: int) -> None:
    merchant = await merchant_of(work, payment.merchant_id)
    fee_returned = FeeSchedule.model_validate(merchant.fees).due_back(
        fees=payment.amount_fees,
        captured=payment.amount_captured,
        refunded=payment.amount_refunded + refund.amount,
        returned=payment.amount_fees_returned,
    )
    await work.post(
        templates.refund_done(
            posting_key(refund.id, STEP, attempt),
            payment_id=payment.id,
            holds=_holds(payment, refund),
            merchant_id=payment.merchant_id,
            currency=refund.currency,
            fee_returned=fee_returned,
        ),
    )
    payment.amount_fees_returned += fee_returned
    payment.amount_refund_reserved -= refund.amount
    payment.amount_refunded += refund.amount
    refund.status = RefundStatus.SUCCEEDED
    derive_status(payment)


async def _give_back(
    work: Work,
    payment: Payment,
    refund: Refund,
    attempt: int,
    failure: dict[str, str | None],
) -> None:
    key = posting_key(refund.id, f"{STEP}.release", attempt)
    holds = _holds(payment, refund)
    await work.post(templates.refund_refused(key, payment_id=payment.id, holds=holds))
    payment.amount_refund_reserved -= refund.amount
    payment.amount_refunded_from_pending -= refund.amount_from_pending
    refund.amount_from_pending = 0
    refund.status, refund.failure = RefundStatus.FAILED, dict(failure)


async def _tell(work: Work, refund: Refund) -> None:
    await work.flush()
    outbox.emit(
        work,
        f"refund.{refund.status}",
        refund_view(refund),
        merchant_id=refund.merchant_id,
        payment_id=refund.payment_id,
    )


async def _refund_of(work: Work, saga: SagaRef) -> Refund:
    refund = await work.get(Refund, saga.operation_id)
    if refund is None:
        raise InvariantBroken(f"{saga.saga_id} has no refund")
    return refund


async def _view(work: Work, saga: SagaRef) -> RefundView | None:
    refund = await work.get(Refund, saga.operation_id)
    return None if refund is None else refund_view(refund)
