"""Effects: calling a provider until the outcome is known, or until a person has said what it is.

Nothing is guessed here. A series of tries that ends without an answer is looked up; what no look-up
can say parks the saga.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from recompense.contracts import activities, search_attributes
from recompense.contracts.provider import RequiresAction
from recompense.contracts.sagas import (
    Resolution,
    ResolveDecision,
    SagaRef,
    SagaStatus,
    Verdict,
)
from recompense.contracts.steps import (
    EffectAnswer,
    EffectPlan,
    Park,
    ProviderWord,
    Resolve,
    Resolved,
    UndoCause,
)
from recompense.domain.money import formatted
from recompense.domain.states import SagaState
from workflows.failures import reason, was_answered_otherwise
from workflows.policies import IN_HOUSE, provider_call
from workflows.turns import TakeBack, Turn


class Effects:
    """The part of a saga that speaks to providers and to people."""

    def __init__(self, saga: SagaRef) -> None:
        self.saga = saga
        self.attempt = 1
        self.state = SagaState.RUNNING
        self.doing = "starting"
        self.question: str | None = None
        self.cancel_requested = False
        self._words: list[ProviderWord] = []
        self._resolution: Resolution | None = None
        self.said: ResolveDecision | None = None

    @workflow.signal(
        name="provider_word", description="What a provider's event said about an effect"
    )
    def provider_word(self, word: ProviderWord) -> None:
        """Take note of what a provider's event told; whoever waits for it reads it."""
        self._words.append(word)

    @workflow.update(name="resolve", description="Answer a parked saga: retry, succeeded or failed")
    async def resolve(self, resolution: Resolution) -> SagaStatus:
        """Hand a person's answer to the parked saga, and wait until it has been taken."""
        self._resolution = resolution
        await workflow.wait_condition(lambda: self._resolution is not resolution)
        return SagaStatus(state=self.state, attempt=self.attempt, doing=self.doing)

    @resolve.validator
    def _is_parked(self, resolution: Resolution) -> None:
        if self.state is not SagaState.PARKED or self._resolution is not None:
            raise ValueError("This saga is not waiting for a person.")

    def say(self, doing: str) -> None:
        """Say in plain words what the saga is doing: shown in the Temporal UI, at no cost in
        history.
        """
        self.doing = doing
        lines = [f"**{doing[:1].upper()}{doing[1:]}**", "", f"Attempt {self.attempt}."]
        if self.question is not None:
            answer = (
                f"recompense sagas resolve {self.saga.saga_id} retry|succeeded|failed --reason ..."
            )
            lines[1:1] = ["", f"A person is asked: {self.question}", "", f"Answer: `{answer}`", ""]
        workflow.set_current_details("\n".join(lines))

    async def effect(self, plan: EffectPlan) -> EffectAnswer:
        """Make an effect, once, and answer what became of it.

        Raises `Turn` when this run has to go another way.
        """
        while True:
            answer = await self._try(plan)
            if answer is None:
                plan = plan.without_right()
                continue
            if answer.verdict is not Verdict.PROCEED:
                raise Turn(answer.verdict, plan.attempt)
            return answer

    async def _try(self, plan: EffectPlan) -> EffectAnswer | None:
        """One series of tries, then one of look-ups, then a person. None: try again."""
        operation = str(plan.call.operation).replace("_", " ")
        self.say(f"asking {plan.provider} to {operation}")
        try:
            return await workflow.execute_activity(
                activities.MONEY_CALLS[plan.call.operation],
                plan,
                summary=f"{operation} {formatted(plan.call.amount, plan.call.currency)}",
                **provider_call(plan.provider, plan.policy),
            )
        except ActivityError as failure:
            why = reason(failure)
            if was_answered_otherwise(failure):
                plan = plan.model_copy(update={"absence_counts": False})
        return await self._find_out(plan, why)

    async def known_without_sending(self, plan: EffectPlan) -> EffectAnswer:
        """Find out about an effect that this run does not want any more: made by another copy, or
        never to be made.
        """
        while True:
            answer = await self._find_out(plan, "it is not wanted any more")
            if answer is not None:
                return answer

    async def _find_out(self, plan: EffectPlan, why: str) -> EffectAnswer | None:
        operation = str(plan.call.operation).replace("_", " ")
        self.say(f"finding out at {plan.provider} what became of {operation}: {why}")
        try:
            return await self._look_up(plan, f"what became of {operation}?")
        except ActivityError as failure:
            why = reason(failure)
        return await self.ask(
            plan,
            f"Did {plan.provider} {operation} {formatted(plan.call.amount, plan.call.currency)}?"
            f" Neither its answers nor look-ups could tell ({why})."
            f" It knows the effect as {plan.call.effect_key}.",
            unless_known=True,
        )

    async def _look_up(self, plan: EffectPlan, question: str) -> EffectAnswer:
        return await workflow.execute_activity(
            activities.provider_lookup,
            plan,
            summary=f"look up: {question}",
            **provider_call(plan.provider, plan.lookup),
        )

    async def await_word(self, plan: EffectPlan, answer: EffectAnswer) -> EffectAnswer:
        """Wait for the word that ends a pending outcome: told by an event, or asked for again and
        again.

        Past the policy's deadline a payer's action is given up (`TakeBack`), and a provider that
        owes its word parks the saga.
        """
        action = isinstance(answer.outcome, RequiresAction)
        pending, started = plan.pending, workflow.time()
        interval = pending.action_poll_interval_seconds if action else pending.poll_interval_seconds
        deadline = pending.action_deadline_seconds if action else pending.deadline_seconds
        whom = "the payer" if action else plan.provider
        while True:
            self.say(f"waiting for the final word of {whom}")
            told = await self._word_or_timeout(plan, answer, interval)
            if told is None and self.is_interrupted(answer):
                return answer
            if told is None:
                told = await self._poll(plan, answer)
            if told.outcome.kind != answer.outcome.kind:
                return told
            if workflow.time() - started >= deadline:
                return await self._overdue(plan, told)
            interval = max(interval, min(interval * 2, pending.maximum_poll_interval_seconds))

    async def _word_or_timeout(
        self, plan: EffectPlan, answer: EffectAnswer, seconds: float
    ) -> EffectAnswer | None:
        try:
            await workflow.wait_condition(
                lambda: self._has_word(plan) or self.is_interrupted(answer),
                timeout=timedelta(seconds=seconds),
            )
        except TimeoutError:
            return None
        return self._take_word(plan)

    def is_interrupted(self, answer: EffectAnswer) -> bool:
        """Whether something else than the provider's word ends a wait: a cancel, where nothing has
        moved yet.
        """
        return self.cancel_requested and isinstance(answer.outcome, RequiresAction)

    async def _poll(self, plan: EffectPlan, answer: EffectAnswer) -> EffectAnswer:
        try:
            return await self._look_up(plan, "is there a final word yet?")
        except ActivityError:
            return answer

    async def _overdue(self, plan: EffectPlan, answer: EffectAnswer) -> EffectAnswer:
        if isinstance(answer.outcome, RequiresAction):
            raise TakeBack(
                UndoCause(
                    code="action_expired",
                    message="The payer did not complete the required action in time.",
                    red=False,
                    final_status="declined",
                )
            )
        said = await self.ask(
            plan, f"{plan.provider} owes its final word. What became of it?", unless_known=True
        )
        return answer if said is None else said

    async def ask(
        self, plan: EffectPlan, question: str, *, unless_known: bool = False
    ) -> EffectAnswer | None:
        """Park: ask a person, and wait for the answer or for the provider's word. None: try again.

        A cancel does not end this wait: what is unknown cannot be taken back.
        """
        resumed = self.state
        answer = await self._park(plan, question, unless_known=unless_known)
        if answer is None:
            await workflow.wait_condition(
                lambda: self._resolution is not None or self._has_word(plan)
            )
            answer = await self._settle(plan)
        self.question, self.state = None, resumed
        workflow.upsert_search_attributes(
            [
                search_attributes.SAGA_STATE.value_set(resumed),
                search_attributes.NEEDS_ATTENTION.value_set(False),
            ]
        )
        self._resolution = None
        return answer

    async def _park(
        self, plan: EffectPlan, question: str, *, unless_known: bool
    ) -> EffectAnswer | None:
        self.question, self.state = question, SagaState.PARKED
        self.say("waiting for a person")
        workflow.upsert_search_attributes(
            [
                search_attributes.SAGA_STATE.value_set(SagaState.PARKED),
                search_attributes.NEEDS_ATTENTION.value_set(True),
            ]
        )
        return await workflow.execute_local_activity(
            activities.park,
            Park(
                saga=self.saga,
                attempt=plan.attempt,
                step=plan.step,
                leg=plan.leg,
                question=question,
                unless_known=unless_known,
            ),
            **IN_HOUSE,
        )

    async def _settle(self, plan: EffectPlan) -> EffectAnswer | None:
        resolution = self._resolution
        self.said = resolution.decision if resolution else None
        if resolution is None:
            return self._take_word(plan)
        resolved: Resolved = await workflow.execute_local_activity(
            activities.resolve,
            Resolve(
                saga=self.saga,
                attempt=plan.attempt,
                step=plan.step,
                leg=plan.leg,
                resolution=resolution,
            ),
            **IN_HOUSE,
        )
        return resolved.answer

    def _has_word(self, plan: EffectPlan) -> bool:
        return any(_is_about(word, plan) for word in self._words)

    def _take_word(self, plan: EffectPlan) -> EffectAnswer | None:
        about = [word for word in self._words if _is_about(word, plan)]
        if not about:
            return None
        self._words = [word for word in self._words if not _is_about(word, plan)]
        return about[-1].answer


def _is_about(word: ProviderWord, plan: EffectPlan) -> bool:
    return (word.step, word.attempt, word.leg) == (plan.step, plan.attempt, plan.leg)
