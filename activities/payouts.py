"""The in-house steps of a payout: reserve, review, record, and the release that undoes `admit`."""

from __future__ import annotations

from temporalio import activity

from activities.admission import Admission, decide_once
from activities.bookings import merchant_of
from activities.legs import next_leg
from activities.payout_bookings import (
    give_back,
    locked_payout,
    post_paid,
    post_returned,
    set_payout_status,
    tell_payout,
)
from activities.plans import elsewhere, grant, plan, plan_of_row
from activities.routing import ailing, route
from activities.standing import intend
from activities.steps import begin_record, begin_release, decline_of, failure_of, finish
from activities.toolbox import Toolbox, current_run
from recompense.contracts.provider import (
    Approved,
    CancelPayoutCall,
    CreatePayoutCall,
    Declined,
    PayoutState,
    Pending,
    ProviderOperation,
)
from recompense.contracts.sagas import PayoutInput, SagaRef, Verdict
from recompense.contracts.steps import (
    Admitted,
    EffectPlan,
    Recorded,
    RecordEffect,
    ReviewPayout,
    SendRight,
    StepRef,
)
from recompense.contracts.views import PayoutView
from recompense.domain.effects import effect_key
from recompense.domain.failures import Refused
from recompense.domain.states import PayoutStatus
from recompense.domain.terms import PayoutTerms
from recompense.ledger import templates
from recompense.ledger.postings import posting_key
from recompense.persistence import journal, outbox
from recompense.persistence.operations import decision_of, stand
from recompense.persistence.tables import Payout
from recompense.persistence.views import payout_view
from recompense.persistence.work import Work

STEP = "payout"
CANCEL_STEP = "payout.cancel"


class PayoutActivities:
    """Admit, review, record and release payouts."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="payout.admit")
    async def admit(self, admit: PayoutInput) -> Admitted[PayoutView]:
        """Screen the payout and reserve the merchant's available money; where no approval is asked,
        also journal and grant it.
        """

        ill = await ailing(self._tools, ProviderOperation.CREATE_PAYOUT)

        async def decide(work: Work, admission: Admission) -> None:
            merchant = await merchant_of(work, admit.merchant_id)
            admission.route = await admission.kept_route(STEP) or route(
                self._tools,
                admit.provider,
                ProviderOperation.CREATE_PAYOUT,
                admit.currency,
                operation_id=admit.payout_id,
                merchant=merchant.routing,
                ailing=ill,
            )
            provider = admission.route[0]
            terms = PayoutTerms.model_validate(merchant.payout)
            payout = await _payout_for(work, admit, provider)
            await self._reserve(work, payout, admission.attempt)
            # A run was approved with all of its items, or needed no approval: none is asked again.
            asks = admit.run_id is None and terms.needs_approval(admit.amount, admit.currency)
            if asks:
                set_payout_status(payout, PayoutStatus.AWAITING_APPROVAL)
            else:
                right = await admission.grant(provider)
                call = _create_call(payout, admission.attempt, right)
                await admission.intend(STEP, provider, call, right)
            await tell_payout(work, payout, "created")

        return await decide_once(self._tools, admit, Admitted[PayoutView], decide, _view)

    async def _reserve(self, work: Work, payout: Payout, attempt: int) -> None:
        payout.hold_key = posting_key(payout.id, f"{STEP}.reserve", attempt)
        await work.post(
            templates.payout_asked(
                payout.hold_key,
                merchant_id=payout.merchant_id,
                bank=self._tools.payout_bank,
                amount=payout.amount,
                currency=payout.currency,
            ),
        )

    @activity.defn(name="payout.review")
    async def review(self, review: ReviewPayout) -> Recorded[PayoutView]:
        """Write a person's word. An approval journals the payout and grants its send right in the
        same transaction.
        """
        async with self._tools.store.work() as work:
            standing = await stand(work, review.saga, current_run(), step_attempt=review.attempt)
            payout = await locked_payout(work, review.saga)
            waiting = payout.status == PayoutStatus.AWAITING_APPROVAL
            if standing.proceeds and waiting:
                payout.reviewed_by = review.actor
                word = "approve" if review.approve else str(review.final_status)
                outbox.audit(
                    work,
                    actor=review.actor,
                    action=f"payout_{word}",
                    target=review.saga.saga_id,
                    reason=review.reason,
                )
                if review.approve:
                    set_payout_status(payout, PayoutStatus.PENDING)
                    await self._intend(work, review.saga, review.attempt, payout)
                else:
                    await give_back(work, payout, self._tools.payout_bank, review.attempt, None)
                    set_payout_status(payout, PayoutStatus(review.final_status or "rejected"))
                    await finish(work, standing.operation)
                    await tell_payout(work, payout)
            await work.flush()
            return Recorded(
                verdict=standing.verdict,
                resource=payout_view(payout),
                next_effect=await self._effect(work, review, STEP),
            )

    async def _intend(self, work: Work, saga: SagaRef, attempt: int, payout: Payout) -> None:
        right = grant(self._tools, payout.provider, current_run(), await work.now())
        call = _create_call(payout, attempt, right)
        route = (await decision_of(work, saga, attempt)).decision or {}
        effect = plan(self._tools, saga, STEP, attempt, payout.provider, call, right)
        rest = elsewhere(tuple(route.get("route", ())), effect.leg)
        await intend(work, effect.model_copy(update={"elsewhere": rest}))

    async def _effect(self, work: Work, step: StepRef, name: str) -> EffectPlan | None:
        row = await journal.read(work, journal.Position(step.saga.saga_id, name, step.attempt))
        return None if row is None else plan_of_row(self._tools, step.saga, row, current_run())

    @activity.defn(name="payout.record")
    async def record(self, record: RecordEffect) -> Recorded[PayoutView]:
        """Write where the payout stands: on its way, paid, or refused and the reserved money given
        back.
        """
        async with self._tools.store.work() as work:
            recording = await begin_record(self._tools, work, record)
            payout = await locked_payout(work, record.saga)
            leg = None
            if record.step == STEP:
                leg = await next_leg(self._tools, work, record, recording)
            if leg is not None and leg.is_new:
                payout.provider, payout.provider_reference = leg.effect.provider, None
            elif recording.books and record.step == STEP and leg is None:
                await self._book(work, payout, record)
                if isinstance(record.answer.outcome, Approved | Declined):
                    await finish(work, recording.operation)
            await work.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=payout_view(payout),
                next_effect=None if leg is None else leg.effect,
                orphan_undo=recording.orphan_undo,
            )

    async def _book(self, work: Work, payout: Payout, record: RecordEffect) -> None:
        outcome, bank = record.answer.outcome, self._tools.payout_bank
        if isinstance(outcome, Approved | Pending):
            payout.provider_reference = outcome.reference
        if isinstance(outcome, Pending) and payout.status != PayoutStatus.IN_TRANSIT:
            set_payout_status(payout, PayoutStatus.IN_TRANSIT)
            await tell_payout(work, payout)
        elif isinstance(outcome, Approved):
            await post_paid(work, payout, bank, record.attempt)
            set_payout_status(payout, PayoutStatus.PAID)
            await tell_payout(work, payout)
            if record.answer.payout_state is PayoutState.RETURNED:
                await post_returned(work, payout, bank)
        elif isinstance(outcome, Declined):
            failure = decline_of(outcome)
            await give_back(work, payout, bank, record.attempt, failure)
            set_payout_status(payout, PayoutStatus.FAILED)
            await tell_payout(work, payout)

    @activity.defn(name="payout.begin_cancel")
    async def begin_cancel(self, step: StepRef) -> Recorded[PayoutView]:
        """Journal the request to take a payout back on its way, and grant its send right; nothing
        where the provider takes none back.
        """
        async with self._tools.store.work() as work:
            standing = await stand(work, step.saga, current_run(), step_attempt=step.attempt)
            payout = await locked_payout(work, step.saga)
            effect = await self._effect(work, step, CANCEL_STEP)
            able = self._tools.providers.capabilities(payout.provider).operations
            offered = ProviderOperation.CANCEL_PAYOUT in able
            if effect is None and standing.proceeds and payout.provider_reference and offered:
                right = grant(
                    self._tools,
                    payout.provider,
                    current_run(),
                    await work.now(),
                )
                call = _cancel_call(payout, payout.provider_reference, step.attempt, right)
                effect = plan(
                    self._tools, step.saga, CANCEL_STEP, step.attempt, payout.provider, call, right
                )
                journal.intend(work, effect)
            return Recorded(
                verdict=standing.verdict, resource=payout_view(payout), next_effect=effect
            )

    @activity.defn(name="payout.release")
    async def release(self, step: StepRef) -> Recorded[PayoutView]:
        """Compensation of `payout.admit`: give the reserved money back. Nothing reserved is a
        success.
        """
        async with self._tools.store.work() as work:
            releasing = await begin_release(work, step)
            payout = await work.get(Payout, step.saga.operation_id, lock=True)
            if releasing.due and payout and payout.hold_key:
                failure = failure_of(releasing.cause)
                await give_back(work, payout, self._tools.payout_bank, step.attempt, failure)
                target = releasing.cause.final_status or PayoutStatus.FAILED
                set_payout_status(payout, PayoutStatus(target))
                await tell_payout(work, payout)
            await work.flush()
            view = payout_view(payout) if payout else None
            return Recorded(verdict=Verdict.PROCEED, resource=view)


def _create_call(payout: Payout, attempt: int, right: SendRight) -> CreatePayoutCall:
    return CreatePayoutCall(
        operation_id=payout.id,
        effect_key=effect_key(payout.id, STEP, attempt),
        amount=payout.amount,
        currency=payout.currency,
        send_by=right.send_by,
        token=payout.destination_token,
        merchant_id=payout.merchant_id,
    )


def _cancel_call(
    payout: Payout, reference: str, attempt: int, right: SendRight
) -> CancelPayoutCall:
    return CancelPayoutCall(
        operation_id=payout.id,
        effect_key=effect_key(payout.id, CANCEL_STEP, attempt),
        amount=payout.amount,
        currency=payout.currency,
        send_by=right.send_by,
        payout_reference=reference,
    )


async def _payout_for(work: Work, admit: PayoutInput, provider: str) -> Payout:
    payout = await work.get(Payout, admit.payout_id, lock=True)
    await _claim_reference(work, admit)
    if payout is not None:
        set_payout_status(payout, PayoutStatus.PENDING)
        payout.failure, payout.provider, payout.reviewed_by = None, provider, None
        return payout
    payout = Payout(
        id=admit.payout_id,
        merchant_id=admit.merchant_id,
        amount=admit.amount,
        currency=admit.currency,
        status=PayoutStatus.PENDING,
        destination_token=admit.token,
        provider=provider,
        reference=admit.reference,
        run_id=admit.run_id,
        requested_by=admit.requested_by,
    )
    work.add(payout)
    return payout


async def _claim_reference(work: Work, admit: PayoutInput) -> None:
    """Refuse a reference that is in use. Two that race meet at the unique index, and the later one
    comes here again.
    """
    if admit.reference is None:
        return
    existing = await work.payout_with_reference(
        admit.merchant_id, admit.reference, but=admit.payout_id
    )
    if existing is not None:
        raise Refused(
            "reference_in_use",
            f"The reference {admit.reference!r} belongs to another payout.",
            existing_id=existing,
        )


async def _view(work: Work, saga: SagaRef) -> PayoutView | None:
    payout = await work.get(Payout, saga.operation_id)
    return None if payout is None else payout_view(payout)
