"""The in-house steps of an authorization: admit, record, and the release that undoes `admit`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.admission import Admission, decide_once
from activities.bookings import (
    book_capture,
    locked_payment,
    next_action,
    release_capture,
    release_hold,
    required,
    reserve_capture,
    set_payment_status,
    tell_capture,
    tell_payment,
)
from activities.legs import next_leg
from activities.plans import grant, plan, plan_of_row
from activities.routing import ailing, route
from activities.standing import standing
from activities.steps import begin_record, begin_release, decline_of, failure_of, finish
from activities.toolbox import Toolbox, current_run
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizeCall,
    CaptureCall,
    Declined,
    Pending,
    ProviderOperation,
    RequiresAction,
)
from recompense.contracts.sagas import AuthorizeInput, SagaRef, Verdict
from recompense.contracts.steps import (
    Admitted,
    EffectPlan,
    KnownOutcome,
    Recorded,
    RecordEffect,
    SendRight,
    StepRef,
)
from recompense.contracts.views import PaymentView
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.ids import IdPrefix, new_id
from recompense.domain.states import CaptureStatus, PaymentStatus
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence import journal
from recompense.persistence.saga_tables import Operation
from recompense.persistence.tables import Capture, Payment
from recompense.persistence.views import payment_view
from recompense.persistence.work import Work

STEP = "authorize"
CAPTURE_STEP = "capture"


class AuthorizationActivities:
    """Admit, record and release authorizations."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="authorization.admit")
    async def admit(self, admit: AuthorizeInput) -> Admitted[PaymentView]:
        """Make the payment and its hold, decide the route, journal the authorization and grant its
        send right: once an attempt.
        """

        ill = await ailing(self._tools, ProviderOperation.AUTHORIZE)

        async def decide(work: Work, admission: Admission) -> None:
            now, terms = await _free_to_pay(work, admit)
            attempt = admission.attempt
            if await standing(work, admit.ref(), CAPTURE_STEP, attempt) is not None:
                raise InvariantBroken(f"an earlier capture of {admit.payment_id} stands")
            admission.route = await admission.kept_route(STEP) or route(
                self._tools,
                admit.provider,
                ProviderOperation.AUTHORIZE,
                admit.currency,
                operation_id=admit.payment_id,
                merchant=terms,
                ailing=ill,
            )
            provider = admission.route[0]
            payment = await _payment_for(work, admit, provider, admission.standing.fresh)
            payment.hold_key = posting_key(admit.payment_id, STEP, attempt)
            payment.amount_held = admit.amount
            await work.post(
                templates.authorized(
                    payment.hold_key,
                    payment_id=admit.payment_id,
                    provider=provider,
                    merchant_id=admit.merchant_id,
                    amount=admit.amount,
                    currency=admit.currency,
                ),
            )
            right = grant(self._tools, provider, current_run(), now)
            await admission.intend(STEP, provider, _authorize_call(admit, attempt, right), right)

        return await decide_once(
            self._tools,
            admit,
            Admitted[PaymentView],
            decide,
            _view,
            writes_before_refusing=False,
        )

    @activity.defn(name="authorization.record")
    async def record(self, record: RecordEffect) -> Recorded[PaymentView]:
        """Write the authorization's outcome. With automatic capture: also reserve, journal and
        grant the capture.
        """
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payment = await locked_payment(work, record.saga)
            leg = await next_leg(self._tools, work, record, recording)
            if leg is not None and leg.is_new:
                await _move(work, payment, leg.effect)
            elif recording.books and leg is None:
                await self._book(work, recording.operation, payment, record)
            next_effect = None if leg is None else leg.effect
            if payment.capture_method == "automatic" and isinstance(
                record.answer.outcome, Approved
            ):
                next_effect = await self._capture_effect(work, record, payment)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=payment_view(payment),
                next_effect=next_effect,
                orphan_undo=recording.orphan_undo,
            )

    async def _book(
        self,
        work: Work,
        operation: Operation,
        payment: Payment,
        record: RecordEffect,
    ) -> None:
        outcome: KnownOutcome = record.answer.outcome
        payment.next_action = None
        match outcome:
            case Approved():
                payment.amount_authorized = payment.amount
                payment.provider_reference = outcome.reference
                payment.authorization_expires_at = outcome.expires_at
                set_payment_status(payment, PaymentStatus.AUTHORIZED)
                if payment.capture_method == "manual":
                    await finish(work, operation)
                    await tell_payment(work, payment)
                else:
                    await self._intend_capture(work, record, payment)
            case Declined():
                await _decline(work, payment, record.attempt, outcome)
                await finish(work, operation)
                await tell_payment(work, payment)
            case RequiresAction():
                payment.provider_reference = outcome.reference
                payment.next_action = next_action(outcome)
                changed = payment.status != PaymentStatus.REQUIRES_ACTION
                set_payment_status(payment, PaymentStatus.REQUIRES_ACTION)
                if changed:
                    await tell_payment(work, payment)
            case Pending():
                payment.provider_reference = outcome.reference
            case Absent():
                pass

    async def _intend_capture(self, work: Work, record: RecordEffect, payment: Payment) -> None:
        capture = Capture(
            id=new_id(IdPrefix.CAPTURE),
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            amount=payment.amount,
            currency=payment.currency,
            status=CaptureStatus.PENDING,
            final=True,
        )
        work.add(capture)
        reserve_capture(payment, payment.amount)
        provider = required(payment.provider)
        right = grant(self._tools, provider, current_run(), await work.now())
        call = CaptureCall(
            operation_id=payment.id,
            effect_key=effect_key(payment.id, CAPTURE_STEP, record.attempt),
            amount=payment.amount,
            currency=payment.currency,
            send_by=right.send_by,
            authorization_reference=required(payment.provider_reference),
            final=True,
        )
        journal.intend(
            work,
            plan(self._tools, record.saga, CAPTURE_STEP, record.attempt, provider, call, right),
        )
        await work.flush()

    async def _capture_effect(
        self, work: Work, record: RecordEffect, payment: Payment
    ) -> EffectPlan | None:
        where = journal.Position(record.saga.saga_id, CAPTURE_STEP, record.attempt)
        row = await journal.read(work, where)
        return None if row is None else plan_of_row(self._tools, record.saga, row, current_run())

    @activity.defn(name="authorization.record_capture")
    async def record_capture(self, record: RecordEffect) -> Recorded[PaymentView]:
        """Write the outcome of an automatic capture: post it, or keep the refusal for the
        compensation.
        """
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payment = await locked_payment(work, record.saga)
            outcome = record.answer.outcome
            if recording.books and isinstance(outcome, Approved):
                (capture,) = await work.open_captures(payment.id)
                capture.provider_reference = outcome.reference
                key = posting_key(payment.id, CAPTURE_STEP, record.attempt)
                await book_capture(work, payment, capture, key, now=self._tools.now())
                await finish(work, recording.operation)
                await tell_payment(work, payment)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=payment_view(payment),
                orphan_undo=recording.orphan_undo,
            )

    @activity.defn(name="authorization.release")
    async def release(self, step: StepRef) -> Recorded[PaymentView]:
        """Compensation of `authorization.admit`: release the hold and end the payment. Nothing to
        release is a success.
        """
        async with self._tools.store.work() as work:
            releasing = await begin_release(work, step)
            payment = await locked_payment(work, step.saga)
            if releasing.due and payment.amount_held:
                failure = failure_of(releasing.cause)
                for capture in await work.open_captures(payment.id):
                    release_capture(payment, capture, failure)
                    await tell_capture(work, capture)
                key = posting_key(payment.id, f"{STEP}.release", step.attempt)
                await release_hold(work, payment, key)
                target = PaymentStatus(releasing.cause.final_status or PaymentStatus.FAILED)
                payment.failure = dict(failure)
                payment.next_action = None
                set_payment_status(payment, target)
                await tell_payment(work, payment)
            await work.flush()
            return Recorded(verdict=Verdict.PROCEED, resource=payment_view(payment))


def _authorize_call(admit: AuthorizeInput, attempt: int, right: SendRight) -> AuthorizeCall:
    return AuthorizeCall(
        operation_id=admit.payment_id,
        effect_key=effect_key(admit.payment_id, STEP, attempt),
        amount=admit.amount,
        currency=admit.currency,
        send_by=right.send_by,
        token=admit.token,
        merchant_id=admit.merchant_id,
        description=admit.description,
    )


async def _view(work: Work, saga: SagaRef) -> PaymentView | None:
    payment = await work.get(Payment, saga.payment_id)
    return None if payment is None else payment_view(payment)


async def _move(work: Work, payment: Payment, leg: EffectPlan) -> None:
    """Let the payment and its hold follow to another provider: nothing is held at the first one."""
    step = f"{STEP}.{leg.leg}"
    await release_hold(work, payment, posting_key(payment.id, f"{step}.moved", leg.attempt))
    payment.provider, payment.provider_reference = leg.provider, None
    payment.next_action = None
    payment.hold_key = posting_key(payment.id, step, leg.attempt)
    payment.amount_held = payment.amount
    await work.post(
        templates.authorized(
            payment.hold_key,
            payment_id=payment.id,
            provider=leg.provider,
            merchant_id=payment.merchant_id,
            amount=payment.amount,
            currency=payment.currency,
        ),
    )


async def _free_to_pay(work: Work, admit: AuthorizeInput) -> tuple[datetime, Mapping[str, Any]]:
    """Make sure of the merchant and that the reference is free; read the database's clock and the
    merchant's routing terms.

    Two that race for a reference meet at the unique index, and the later one comes here again.
    """
    found = await work.now_if_merchant(admit.merchant_id, admit.reference)
    if found is None:
        raise Refused("merchant_not_found", f"There is no merchant {admit.merchant_id}.")
    now, existing, terms = found
    if existing is not None:
        raise Refused(
            "reference_in_use",
            f"The reference {admit.reference!r} belongs to another payment.",
            existing_id=existing,
        )
    return now, terms


async def _payment_for(work: Work, admit: AuthorizeInput, provider: str, fresh: bool) -> Payment:
    """The payment's row: made by the first attempt, taken up again by a later one."""
    payment = None if fresh else await work.get(Payment, admit.payment_id, lock=True)
    if payment is not None:
        set_payment_status(payment, PaymentStatus.PROCESSING)
        payment.failure, payment.provider = None, provider
        payment.authorization_closed = False
        return payment
    payment = Payment(
        id=admit.payment_id,
        merchant_id=admit.merchant_id,
        status=PaymentStatus.PROCESSING,
        amount=admit.amount,
        currency=admit.currency,
        capture_method=admit.capture_method,
        payment_method=admit.payment_method,
        provider=provider,
        reference=admit.reference,
        description=admit.description,
        extra=dict(admit.metadata),
    )
    work.add(payment)
    return payment


async def _decline(work: Work, payment: Payment, attempt: int, outcome: Declined) -> None:
    await release_hold(work, payment, posting_key(payment.id, f"{STEP}.release", attempt))
    payment.failure = decline_of(outcome)
    set_payment_status(payment, PaymentStatus.DECLINED)
