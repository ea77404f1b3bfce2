"""The in-house steps of a void: mark, record, and the release that takes the mark off."""

from __future__ import annotations

from temporalio import activity

from activities.admission import Admission, decide_once
from activities.bookings import (
    derive_status,
    locked_payment,
    required,
    tell_payment,
    void_rest,
)
from activities.steps import begin_record, begin_release, decline_of, failure_of, finish
from activities.toolbox import Toolbox
from recompense.contracts.provider import Approved, Declined, VoidCall
from recompense.contracts.sagas import SagaRef, Verdict, VoidInput
from recompense.contracts.steps import Admitted, Recorded, RecordEffect, StepRef
from recompense.contracts.views import PaymentView
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import VoidStatus
from recompense.ledger.postings import posting_key
from recompense.persistence.tables import Payment, VoidRequest
from recompense.persistence.views import capturable, payment_view
from recompense.persistence.work import Work

_GONE_ALREADY = frozenset({"authorization_expired", "already_voided"})


class VoidActivities:
    """Admit, record and release voids."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="void.admit")
    async def admit(self, admit: VoidInput) -> Admitted[PaymentView]:
        """Mark the payment as being voided, journal the void and grant its send right."""

        async def decide(work: Work, admission: Admission) -> None:
            payment = await locked_payment(work, admission.saga)
            provider = required(payment.provider)
            capabilities = self._tools.providers.capabilities(provider)
            amount = _amount_to_void(payment, capabilities.void_after_partial_capture)
            await _mark(work, admit, payment, amount)
            right = await admission.grant(provider)
            step = void_step(admit.number)
            call = VoidCall(
                operation_id=admit.payment_id,
                effect_key=effect_key(admit.payment_id, step, admission.attempt),
                amount=amount,
                currency=payment.currency,
                send_by=right.send_by,
                authorization_reference=required(payment.provider_reference),
            )
            await admission.intend(step, provider, call, right)

        return await decide_once(
            self._tools, admit, Admitted[PaymentView], decide, _view, writes_before_refusing=False
        )

    @activity.defn(name="void.record")
    async def record(self, record: RecordEffect) -> Recorded[PaymentView]:
        """Write the void's outcome: void the rest of the hold, or take the mark off."""
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payment = await locked_payment(work, record.saga)
            request = await _request_of(work, record.saga)
            outcome = record.answer.outcome
            if recording.books and _is_gone(outcome, request):
                before = payment.status
                request.status = VoidStatus.SUCCEEDED
                payment.void_open = False
                payment.expired = request.cause == "expiry"
                key = posting_key(payment.id, record.step, record.attempt)
                await void_rest(work, payment, key, expired=payment.expired)
                derive_status(payment)
                await finish(work, recording.operation)
                if payment.status != before:
                    await tell_payment(work, payment)
            elif recording.books and isinstance(outcome, Declined):
                request.status = VoidStatus.FAILED
                request.failure = decline_of(outcome)
                payment.void_open = False
                await finish(work, recording.operation)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=payment_view(payment),
                orphan_undo=recording.orphan_undo,
            )

    @activity.defn(name="void.release")
    async def release(self, step: StepRef) -> Recorded[PaymentView]:
        """Compensation of `void.admit`: take the mark off. No mark is a success."""
        async with self._tools.store.work() as work:
            releasing = await begin_release(work, step)
            payment = await locked_payment(work, step.saga)
            if releasing.due:
                request = await _request_of(work, step.saga)
                if request.status == VoidStatus.PENDING:
                    request.status = VoidStatus.FAILED
                    request.failure = dict(failure_of(releasing.cause))
                    payment.void_open = False
            await work.flush()
            return Recorded(verdict=Verdict.PROCEED, resource=payment_view(payment))


def void_step(number: int) -> str:
    """The step of one request to void: it shares its operation id with the authorization, so it has
    a name of its own.
    """
    return f"void.{number}"


def _is_gone(outcome: object, request: VoidRequest) -> bool:
    """An authorization that lapsed by itself is gone as well as one that was voided, when that is
    what was asked.
    """
    if isinstance(outcome, Declined) and request.cause == "expiry":
        return outcome.code in _GONE_ALREADY
    return isinstance(outcome, Approved)


def _amount_to_void(payment: Payment, after_partial_capture: bool) -> int:
    if payment.amount_capture_reserved:
        raise Refused("capture_in_progress", "A capture of this payment is under way.")
    rest = capturable(payment)
    if rest <= 0 or (payment.amount_captured and not after_partial_capture):
        raise Refused(
            "payment_not_voidable",
            f"Payment {payment.id} cannot be voided: it is {payment.status}.",
        )
    return rest


async def _mark(work: Work, admit: VoidInput, payment: Payment, amount: int) -> None:
    payment.void_open = True
    request = await work.get(VoidRequest, (admit.payment_id, admit.number))
    if request is not None:
        request.status, request.failure, request.amount = VoidStatus.PENDING, None, amount
        return
    work.add(
        VoidRequest(
            payment_id=payment.id,
            number=admit.number,
            merchant_id=payment.merchant_id,
            amount=amount,
            currency=payment.currency,
            status=VoidStatus.PENDING,
            cause=admit.cause,
            reason=admit.reason,
        )
    )


async def _request_of(work: Work, saga: SagaRef) -> VoidRequest:
    number = int(saga.saga_id.rpartition("/")[2])
    request = await work.get(VoidRequest, (saga.payment_id, number))
    if request is None:
        raise InvariantBroken(f"{saga.saga_id} has no request to void")
    return request


async def _view(work: Work, saga: SagaRef) -> PaymentView | None:
    payment = await work.get(Payment, saga.payment_id)
    return None if payment is None else payment_view(payment)
