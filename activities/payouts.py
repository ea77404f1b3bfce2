"""The in-house steps of a payout: reserve, review, record, and the release that undoes `admit`."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.admission import Admission, decide_once
from activities.bookings import merchant_of
from activities.payout_bookings import (
    give_back,
    locked_payout,
    post_paid,
    post_returned,
    set_payout_status,
    tell_payout,
)
from activities.plans import grant, plan, plan_of_row
from activities.steps import begin_record, begin_release, failure_of, finish
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
from recompense.persistence import journal, ledger, outbox
from recompense.persistence.operations import stand
from recompense.persistence.tables import Payout
from recompense.persistence.views import payout_view

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

        async def decide(session: AsyncSession, admission: Admission) -> None:
            provider = _route(self._tools, admit)
            merchant = await merchant_of(session, admit.merchant_id)
            terms = PayoutTerms.model_validate(merchant.payout)
            payout = await _payout_for(session, admit, provider)
            await self._reserve(session, payout, admission.attempt)
            if terms.needs_approval(admit.amount, admit.currency):
                set_payout_status(payout, PayoutStatus.AWAITING_APPROVAL)
            else:
                right = await admission.grant(provider)
                call = _create_call(payout, admission.attempt, right)
                admission.intend(STEP, provider, call, right)
            await tell_payout(session, payout, "created")

        return await decide_once(self._tools, admit, Admitted[PayoutView], decide, _view)

    async def _reserve(self, session: AsyncSession, payout: Payout, attempt: int) -> None:
        payout.hold_key = posting_key(payout.id, f"{STEP}.reserve", attempt)
        await ledger.post(
            session,
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
        async with self._tools.database.transaction() as session:
            standing = await stand(session, review.saga, current_run(), step_attempt=review.attempt)
            payout = await locked_payout(session, review.saga)
            waiting = payout.status == PayoutStatus.AWAITING_APPROVAL
            if standing.proceeds and waiting:
                payout.reviewed_by = review.actor
                word = "approve" if review.approve else str(review.final_status)
                outbox.audit(
                    session,
                    actor=review.actor,
                    action=f"payout_{word}",
                    target=review.saga.saga_id,
                    reason=review.reason,
                )
                if review.approve:
                    set_payout_status(payout, PayoutStatus.PENDING)
                    await self._intend(session, review.saga, review.attempt, payout)
                else:
                    await give_back(session, payout, self._tools.payout_bank, review.attempt, None)
                    set_payout_status(payout, PayoutStatus(review.final_status or "rejected"))
                    await finish(session, standing.operation)
                    await tell_payout(session, payout)
            await session.flush()
            return Recorded(
                verdict=standing.verdict,
                resource=payout_view(payout),
                next_effect=await self._effect(session, review, STEP),
            )

    async def _intend(
        self, session: AsyncSession, saga: SagaRef, attempt: int, payout: Payout
    ) -> None:
        right = grant(
            self._tools, payout.provider, current_run(), await journal.database_now(session)
        )
        call = _create_call(payout, attempt, right)
        journal.intend(
            session, plan(self._tools, saga, STEP, attempt, payout.provider, call, right)
        )

    async def _effect(self, session: AsyncSession, step: StepRef, name: str) -> EffectPlan | None:
        row = await journal.read(session, journal.Position(step.saga.saga_id, name, step.attempt))
        return None if row is None else plan_of_row(self._tools, step.saga, row, current_run())

    @activity.defn(name="payout.record")
    async def record(self, record: RecordEffect) -> Recorded[PayoutView]:
        """Write where the payout stands: on its way, paid, or refused and the reserved money given
        back.
        """
        async with self._tools.database.transaction() as session:
            recording = await begin_record(self._tools, session, record)
            payout = await locked_payout(session, record.saga)
            if recording.books and record.step == STEP:
                await self._book(session, payout, record)
                if isinstance(record.answer.outcome, Approved | Declined):
                    await finish(session, recording.operation)
            await session.flush()
            return Recorded(
                verdict=recording.verdict,
                resource=payout_view(payout),
                orphan_undo=recording.orphan_undo,
            )

    async def _book(self, session: AsyncSession, payout: Payout, record: RecordEffect) -> None:
        outcome, bank = record.answer.outcome, self._tools.payout_bank
        if isinstance(outcome, Approved | Pending):
            payout.provider_reference = outcome.reference
        if isinstance(outcome, Pending) and payout.status != PayoutStatus.IN_TRANSIT:
            set_payout_status(payout, PayoutStatus.IN_TRANSIT)
            await tell_payout(session, payout)
        elif isinstance(outcome, Approved):
            await post_paid(session, payout, bank, record.attempt)
            set_payout_status(payout, PayoutStatus.PAID)
            await tell_payout(session, payout)
            if record.answer.payout_state is PayoutState.RETURNED:
                await post_returned(session, payout, bank)
        elif isinstance(outcome, Declined):
            failure = {
                "code": outcome.code,
                "message": outcome.message,
                "provider_code": outcome.provider_code,
            }
            await give_back(session, payout, bank, record.attempt, failure)
            set_payout_status(payout, PayoutStatus.FAILED)
            await tell_payout(session, payout)

    @activity.defn(name="payout.begin_cancel")
    async def begin_cancel(self, step: StepRef) -> Recorded[PayoutView]:
        """Journal the request to take a payout back on its way, and grant its send right."""
        async with self._tools.database.transaction() as session:
            standing = await stand(session, step.saga, current_run(), step_attempt=step.attempt)
            payout = await locked_payout(session, step.saga)
            effect = await self._effect(session, step, CANCEL_STEP)
            if effect is None and standing.proceeds and payout.provider_reference:
                right = grant(
                    self._tools,
                    payout.provider,
                    current_run(),
                    await journal.database_now(session),
                )
                call = _cancel_call(payout, payout.provider_reference, step.attempt, right)
                effect = plan(
                    self._tools, step.saga, CANCEL_STEP, step.attempt, payout.provider, call, right
                )
                journal.intend(session, effect)
            return Recorded(
                verdict=standing.verdict, resource=payout_view(payout), next_effect=effect
            )

    @activity.defn(name="payout.release")
    async def release(self, step: StepRef) -> Recorded[PayoutView]:
        """Compensation of `payout.admit`: give the reserved money back. Nothing reserved is a
        success.
        """
        async with self._tools.database.transaction() as session:
            releasing = await begin_release(session, step)
            payout = await session.get(Payout, step.saga.operation_id, with_for_update=True)
            if releasing.due and payout and payout.hold_key:
                failure = failure_of(releasing.cause)
                await give_back(session, payout, self._tools.payout_bank, step.attempt, failure)
                target = releasing.cause.final_status or PayoutStatus.FAILED
                set_payout_status(payout, PayoutStatus(target))
                await tell_payout(session, payout)
            await session.flush()
            view = payout_view(payout) if payout else None
            return Recorded(verdict=Verdict.PROCEED, resource=view)


def _route(tools: Toolbox, admit: PayoutInput) -> str:
    provider = admit.provider or tools.default_provider
    if provider not in tools.providers.names:
        raise Refused("provider_not_available", f"There is no provider {provider}.")
    capabilities = tools.providers.capabilities(provider)
    if ProviderOperation.CREATE_PAYOUT not in capabilities.operations:
        raise Refused("provider_not_available", f"Provider {provider} makes no payouts.")
    if capabilities.currencies is not None and admit.currency not in capabilities.currencies:
        raise Refused(
            "currency_not_supported", f"Provider {provider} does not pay {admit.currency}."
        )
    return provider


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


async def _payout_for(session: AsyncSession, admit: PayoutInput, provider: str) -> Payout:
    payout = await session.get(Payout, admit.payout_id, with_for_update=True)
    await _claim_reference(session, admit)
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
    session.add(payout)
    return payout


async def _claim_reference(session: AsyncSession, admit: PayoutInput) -> None:
    """Refuse a reference that is in use. Two that race meet at the unique index, and the later one
    comes here again.
    """
    if admit.reference is None:
        return
    found = await session.exec(
        select(Payout.id).where(
            Payout.merchant_id == admit.merchant_id,
            Payout.reference == admit.reference,
            Payout.id != admit.payout_id,
            col(Payout.status).not_in([PayoutStatus.FAILED, PayoutStatus.CANCELED]),
        )
    )
    existing = found.first()
    if existing is not None:
        raise Refused(
            "reference_in_use",
            f"The reference {admit.reference!r} belongs to another payout.",
            existing_id=existing,
        )


async def _view(session: AsyncSession, saga: SagaRef) -> PayoutView | None:
    payout = await session.get(Payout, saga.operation_id)
    return None if payout is None else payout_view(payout)
