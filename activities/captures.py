"""The in-house steps of a capture: reserve, record, and the release that takes `admit` back."""

from __future__ import annotations

from temporalio import activity

from activities.admission import Admission, decide_once
from activities.bookings import (
    book_capture,
    give_back_what_is_closed,
    locked_payment,
    release_capture,
    required,
    reserve_capture,
    tell_capture,
    tell_payment,
)
from activities.standing import Standing, standing
from activities.steps import begin_record, begin_release, decline_of, failure_of, finish
from activities.toolbox import Toolbox
from recompense.contracts.provider import Approved, CaptureCall, Declined
from recompense.contracts.sagas import CaptureInput, SagaRef, Verdict
from recompense.contracts.steps import Admitted, Recorded, RecordEffect, StepRef
from recompense.contracts.views import CaptureView
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import CaptureStatus
from recompense.ledger.postings import posting_key
from recompense.persistence.tables import Capture, Payment
from recompense.persistence.views import capturable, capture_view
from recompense.persistence.work import Work

STEP = "capture"


class CaptureActivities:
    """Admit, record and release captures."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="capture.admit")
    async def admit(self, admit: CaptureInput) -> Admitted[CaptureView]:
        """Reserve the capturable amount under the payment's lock, journal the capture and grant
        its send right.
        """

        async def decide(work: Work, admission: Admission) -> None:
            payment = await locked_payment(work, admission.saga)
            kept = await standing(work, admission.saga, STEP, admission.attempt)
            amount = await _amount_to_capture(work, admit, payment, kept)
            if kept is not None:
                payment.amount_capture_reserved -= kept.orphan.reserved
            await _reserve(work, admit, payment, amount)
            right = await admission.grant(required(payment.provider))
            await admission.intend(
                STEP,
                required(payment.provider),
                CaptureCall(
                    operation_id=admit.capture_id,
                    effect_key=effect_key(admit.capture_id, STEP, admission.attempt),
                    amount=amount,
                    currency=payment.currency,
                    send_by=right.send_by,
                    authorization_reference=required(payment.provider_reference),
                    final=admit.final,
                ),
                right,
            )

        return await decide_once(
            self._tools, admit, Admitted[CaptureView], decide, _view, writes_before_refusing=False
        )

    @activity.defn(name="capture.record")
    async def record(self, record: RecordEffect) -> Recorded[CaptureView]:
        """Write the capture's outcome: post the hold, the fee and the availability, or give the
        reservation back.
        """
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payment = await locked_payment(work, record.saga)
            capture = await _capture_of(work, record.saga)
            outcome = record.answer.outcome
            if recording.books and isinstance(outcome, Approved):
                capture.provider_reference = outcome.reference
                await book_capture(
                    work,
                    payment,
                    capture,
                    posting_key(capture.id, STEP, record.attempt),
                    now=self._tools.now(),
                    rest_key=_rest_key(record),
                )
                await finish(work, recording.operation)
                await tell_payment(work, payment)
            elif recording.books and isinstance(outcome, Declined):
                release_capture(payment, capture, decline_of(outcome))
                await give_back_what_is_closed(work, payment, _rest_key(record))
                await finish(work, recording.operation)
                await tell_capture(work, capture)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=capture_view(capture),
                orphan_undo=recording.orphan_undo,
            )

    @activity.defn(name="capture.release")
    async def release(self, step: StepRef) -> Recorded[CaptureView]:
        """Compensation of `capture.admit`: give the reservation back. Nothing reserved is a
        success.
        """
        async with self._tools.store.work() as work:
            releasing = await begin_release(work, step)
            payment = await locked_payment(work, step.saga)
            capture = await work.get(Capture, step.saga.operation_id)
            if releasing.due and capture and capture.status == CaptureStatus.PENDING:
                release_capture(payment, capture, failure_of(releasing.cause))
                await give_back_what_is_closed(work, payment, _rest_key(step))
                await tell_capture(work, capture)
            await work.flush()
            view = capture_view(capture) if capture else None
            return Recorded(verdict=Verdict.PROCEED, resource=view)


def _rest_key(step: StepRef) -> str:
    return posting_key(step.saga.operation_id, f"{STEP}.rest", step.attempt)


async def _amount_to_capture(
    work: Work, admit: CaptureInput, payment: Payment, kept: Standing | None
) -> int:
    """What to capture: what was asked for, or what an effect has captured already that is kept."""
    available = capturable(payment) + (kept.orphan.reserved if kept else 0)
    others = await work.open_captures(payment.id)
    if others and (admit.final or any(other.final for other in others)):
        raise Refused("capture_in_progress", "Another capture of this payment is under way.")
    if available <= 0:
        raise Refused(
            "payment_not_capturable",
            f"Nothing of payment {payment.id} can be captured: it is {payment.status}.",
        )
    amount = kept.amount if kept else admit.amount or available
    if amount > available:
        raise Refused("amount_exceeds_capturable", f"Only {available} minor units can be captured.")
    return amount


async def _reserve(work: Work, admit: CaptureInput, payment: Payment, amount: int) -> None:
    reserve_capture(payment, amount)
    capture = await work.get(Capture, admit.capture_id)
    if capture is not None:
        capture.status, capture.failure = CaptureStatus.PENDING, None
        capture.amount = amount
        return
    work.add(
        Capture(
            id=admit.capture_id,
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=amount,
            currency=payment.currency,
            status=CaptureStatus.PENDING,
            final=admit.final,
        )
    )


async def _capture_of(work: Work, saga: SagaRef) -> Capture:
    capture = await work.get(Capture, saga.operation_id)
    if capture is None:
        raise InvariantBroken(f"{saga.saga_id} has no capture")
    return capture


async def _view(work: Work, saga: SagaRef) -> CaptureView | None:
    capture = await work.get(Capture, saga.operation_id)
    return None if capture is None else capture_view(capture)
