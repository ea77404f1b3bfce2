"""Pay a merchant's available money out to a bank, with a person's approval where the merchant's
terms ask for it.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

from recompense.contracts import activities
from recompense.contracts.provider import Approved, Declined
from recompense.contracts.sagas import (
    Decision,
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    PayoutReviewed,
    Refusal,
)
from recompense.contracts.steps import (
    Admitted,
    EffectAnswer,
    EffectPlan,
    Recorded,
    ReviewPayout,
    SagaResult,
    StepRef,
    UndoCause,
)
from recompense.contracts.views import PayoutView
from workflows import versions
from workflows.saga import Saga
from workflows.turns import TakeBack, canceled, never_happened

LOOK_AGAIN_AFTER = timedelta(hours=1)
"""How long a payout that waits for an approval sleeps before it looks where it stands."""


@workflow.defn(name="Payout")
class Payout(Saga[PayoutView]):
    """reserve (release), [approval], create the payout (cancel it where that works), wait for the
    final word, post.
    """

    @workflow.init
    def __init__(self, payout: PayoutInput) -> None:
        super().__init__(payout.ref(), activities.release_payout)
        self._payout = payout
        self._view: PayoutView | None = None
        self._review: PayoutReview | None = None
        self._reviewable = False
        self._admitting = True
        self._answer: PayoutReviewed | None = None

    @workflow.run
    async def run(self, payout: PayoutInput) -> SagaResult:
        """Carry the payout to its end."""
        return await self.carry(self._forward)

    @workflow.update(name="decision", description="Wait until the payout's outcome is known")
    async def decision(self) -> Decision[PayoutView]:
        """The payout once it is on its way, waits for approval or was refused."""
        return await self.decided()

    @workflow.update(name="review", description="Approve, reject or cancel the payout")
    async def review(self, review: PayoutReview) -> PayoutReviewed:
        """Take a person's word, and wait for what came of it.

        Who asked for the payout cannot approve it. Rows may show the payout as waiting before this
        run has read them: such a word waits.
        """
        if self._admitting and versions.early_reviews_wait():
            await workflow.wait_condition(lambda: not self._admitting)
        refusal = self._objection(review)
        if refusal is not None:
            return PayoutReviewed(refusal=refusal)
        self._review, self._answer = review, None
        await workflow.wait_condition(lambda: self._answer is not None)
        answer, self._answer = self._answer, None
        return answer or PayoutReviewed()

    def _objection(self, review: PayoutReview) -> Refusal | None:
        if not self._reviewable or self._review is not None:
            return Refusal(
                code="payout_not_reviewable",
                message="This payout is not in a state that can be changed.",
            )
        cancels = review.decision is PayoutReviewDecision.CANCEL
        if not cancels and not self._awaits_approval():
            return Refusal(
                code="payout_not_awaiting_approval",
                message="This payout does not wait for an approval.",
            )
        approves = review.decision is PayoutReviewDecision.APPROVE
        if approves and review.actor == self._payout.requested_by:
            return Refusal(code="four_eyes", message="Who asked for a payout cannot approve it.")
        return None

    def _awaits_approval(self) -> bool:
        return self._view is not None and self._view.status == "awaiting_approval"

    def is_interrupted(self, answer: EffectAnswer) -> bool:
        """Only a request to take the payout back ends the wait: money on its way is not given up
        for a cancel in Temporal.
        """
        return self._asks(PayoutReviewDecision.CANCEL)

    def _asks(self, decision: PayoutReviewDecision) -> bool:
        return self._review is not None and self._review.decision is decision

    async def _forward(self) -> SagaResult:
        admitted = await self._admitted()
        if admitted.refusal is not None:
            return self.refuse(admitted.refusal)
        while admitted.effect is None:
            self._show(admitted.resource)
            if await self._is_reviewed():
                plan = await self._approval()
                if plan is None:
                    return self.result("not paid: a person said no", self._view)
                return await self._pay(plan)
            # The word may have been given to another run of this saga, which tells nobody.
            admitted = await self._admitted()
        return await self._pay(admitted.effect)

    async def _admitted(self) -> Admitted[PayoutView]:
        self._admitting = True
        try:
            return await self.admit(activities.admit_payout, self._payout)
        finally:
            self._admitting = False

    def _show(self, payout: PayoutView | None) -> None:
        self._view = payout
        self.decide(payout)

    async def _is_reviewed(self) -> bool:
        """Wait for a person, or for a cancel. False: it is time to see where the payout stands."""
        self.say("waiting for an approval")
        self._reviewable = True
        try:
            await workflow.wait_condition(
                lambda: self._review is not None or self.cancel_requested, timeout=LOOK_AGAIN_AFTER
            )
        except TimeoutError:
            self._reviewable = False
            return False
        return True

    async def _approval(self) -> EffectPlan | None:
        """Take a person's word. None: rejected or canceled."""
        review = self._review
        if review is None:
            raise canceled("canceled")
        recorded = await self.step(activities.review_payout, self._reviewed(review))
        self._reviewable = False
        self.proceed(recorded)
        self._view = recorded.resource
        if recorded.next_effect is None:
            self._reply(PayoutReviewed(payout=recorded.resource))
        return recorded.next_effect

    def _reviewed(self, review: PayoutReview) -> ReviewPayout:
        canceled_ = review.decision is PayoutReviewDecision.CANCEL
        return ReviewPayout(
            saga=self.saga,
            attempt=self.attempt,
            approve=review.decision is PayoutReviewDecision.APPROVE,
            final_status="canceled" if canceled_ else "rejected",
            actor=review.actor,
            reason=review.reason,
        )

    def _reply(self, answer: PayoutReviewed) -> None:
        self._review, self._answer = None, answer

    async def _pay(self, plan: EffectPlan) -> SagaResult:
        answer, recorded = await self._word(plan)
        while (leg := self.next_leg(plan, recorded)) is not None:
            plan = leg
            answer, recorded = await self._word(plan)
        self._reviewable = False
        if is_absent(answer):
            raise (
                canceled("canceled")
                if self.cancel_requested
                else never_happened(plan.provider, "paid")
            )
        self._show(recorded.resource)
        if self._review is not None:
            self._reply(_too_late(recorded.resource))
        if isinstance(answer.outcome, Declined):
            return self.result(f"failed: {answer.outcome.message}", recorded.resource)
        return self.result("paid", recorded.resource)

    async def _word(self, plan: EffectPlan) -> tuple[EffectAnswer, Recorded[PayoutView]]:
        """One provider's final word, recorded."""
        answer = await self.effect(plan)
        recorded = await self.record(activities.record_payout, plan, answer)
        while not answer.is_final:
            self._show(recorded.resource)
            answer, recorded = await self._wait(plan, answer, recorded)
        return answer, recorded

    async def _wait(
        self, plan: EffectPlan, answer: EffectAnswer, recorded: Recorded[PayoutView]
    ) -> tuple[EffectAnswer, Recorded[PayoutView]]:
        self._reviewable = True
        told = await self.await_word(plan, answer)
        if self._asks(PayoutReviewDecision.CANCEL) and not told.is_final:
            await self._cancel()
            return told, recorded
        return told, await self.record(activities.record_payout, plan, told)

    async def _cancel(self) -> None:
        """Try to take the payout back at the provider. Raises `TakeBack` when that worked."""
        begun = await self.step(
            activities.begin_cancel_payout, StepRef(saga=self.saga, attempt=self.attempt)
        )
        self.proceed(begun)
        if begun.next_effect is None:
            self._reply(_too_late(self._view))
            return
        answer = await self.effect(begun.next_effect)
        await self.record(activities.record_payout, begun.next_effect, answer)
        if isinstance(answer.outcome, Approved):
            raise TakeBack(
                UndoCause(
                    code="canceled_on_request",
                    message="The payout was canceled.",
                    red=False,
                    final_status="canceled",
                )
            )
        self._reply(_too_late(self._view))

    def decide(self, resource: PayoutView | None) -> None:
        """Tell the caller, and whoever waits for what came of an approval or a cancel."""
        super().decide(resource)
        if resource is None:
            return
        approved = self._asks(PayoutReviewDecision.APPROVE) and resource.status not in _UNDECIDED
        if approved or (self._review is not None and resource.status == "canceled"):
            self._view = resource
            self._reply(PayoutReviewed(payout=resource))

    def settle_callers(self) -> None:
        """A review that nothing came of any more is answered: the run must not end without."""
        if self._review is not None:
            self._reply(_too_late(self._view))


_UNDECIDED = frozenset({"pending", "awaiting_approval"})


def is_absent(answer: EffectAnswer) -> bool:
    """Whether the payout provably never happened."""
    return answer.outcome.kind == "absent"


def _too_late(payout: PayoutView | None) -> PayoutReviewed:
    status = payout.status if payout else None
    refusal = Refusal(
        code="payout_not_cancelable", message="The payout cannot be taken back any more."
    )
    return PayoutReviewed(payout=payout, refusal=refusal, status=status)
