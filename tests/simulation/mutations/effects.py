"""Defects of how an effect is sent, looked up and journaled."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.exceptions import ActivityError, ApplicationError

from activities import authorization, orphans
from activities.effects import ProviderActivities, _Ledge
from activities.toolbox import current_run
from recompense.contracts.provider import Absent, Approved, Declined
from recompense.contracts.steps import EffectAnswer, EffectPlan
from recompense.domain.effects import effect_key
from recompense.persistence import journal
from workflows.effects import Effects


def m_unknown_is_absent(patch: pytest.MonkeyPatch) -> None:
    """What no look-up can tell counts as never made."""

    async def find_out(self: Effects, plan: EffectPlan, why: str) -> EffectAnswer:
        try:
            return await self._look_up(plan, "what became of it?")
        except ActivityError:
            return EffectAnswer(outcome=Absent())

    patch.setattr(Effects, "_find_out", find_out)


def m_unknown_is_made(patch: pytest.MonkeyPatch) -> None:
    """What no look-up can tell counts as made."""

    async def find_out(self: Effects, plan: EffectPlan, why: str) -> EffectAnswer:
        try:
            return await self._look_up(plan, "what became of it?")
        except ActivityError:
            return EffectAnswer(outcome=Approved(reference="guessed"))

    patch.setattr(Effects, "_find_out", find_out)


def m_absence_counts_after_an_answer(patch: pytest.MonkeyPatch) -> None:
    """What the provider told of otherwise counts as never made once it shows nothing."""
    patch.setattr("workflows.effects.was_answered_otherwise", lambda failure: False)


def m_failed_series_is_absent(patch: pytest.MonkeyPatch) -> None:
    """The last try's word speaks for the whole series: nothing is looked up."""

    async def find_out(self: Effects, plan: EffectPlan, why: str) -> EffectAnswer:
        return EffectAnswer(outcome=Absent())

    patch.setattr(Effects, "_find_out", find_out)


def m_key_from_the_run(patch: pytest.MonkeyPatch) -> None:
    """The effect key changes with the Temporal run."""

    def key(operation_id: str, step: str, attempt: int, leg: int = 1) -> str:
        run = current_run().run_id.replace("run-", "")
        return f"{operation_id}:{step}:{attempt}{run}"

    patch.setattr(authorization, "effect_key", key)
    original = ProviderActivities._send

    async def send(self: Any, plan: EffectPlan, *rest: Any) -> EffectAnswer:
        run = current_run().run_id.replace("run-", "")
        call = plan.call.model_copy(update={"effect_key": f"{plan.call.effect_key}{run}"})
        return await original(self, plan.model_copy(update={"call": call}), *rest)

    patch.setattr(ProviderActivities, "_send", send)


def m_key_without_the_attempt(patch: pytest.MonkeyPatch) -> None:
    """Every attempt has the first one's key."""
    patch.setattr(
        authorization,
        "effect_key",
        lambda operation_id, step, attempt, leg=1: effect_key(operation_id, step, 1, leg),
    )


def m_absence_is_final_at_once(patch: pytest.MonkeyPatch) -> None:
    """A look-up that finds nothing is believed while a try may be under way."""
    patch.setattr(_Ledge, "is_absent_final", lambda self, plan: True)


def m_look_up_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Whatever the provider shows, nothing is found."""

    async def look_up(self: object, plan: EffectPlan, policy: object) -> EffectAnswer:
        return EffectAnswer(outcome=Absent())

    patch.setattr(ProviderActivities, "_look_up", look_up)


def m_a_decline_is_an_exception(patch: pytest.MonkeyPatch) -> None:
    """The provider's no is raised, and not answered."""
    original = ProviderActivities._send

    async def send(self: Any, *given: Any) -> EffectAnswer:
        answer = await original(self, *given)
        if isinstance(answer.outcome, Declined):
            raise ApplicationError("declined", type="Declined", non_retryable=True)
        return answer

    patch.setattr(ProviderActivities, "_send", send)
    original_look_up = ProviderActivities._look_up

    async def look_up(self: Any, *given: Any) -> EffectAnswer:
        answer = await original_look_up(self, *given)
        if isinstance(answer.outcome, Declined):
            raise ApplicationError("declined", type="Declined", non_retryable=True)
        return answer

    patch.setattr(ProviderActivities, "_look_up", look_up)


def m_the_last_outcome_wins(patch: pytest.MonkeyPatch) -> None:
    """A later word is written over a final one."""
    original = journal.write_outcome

    def write(work: Any, row: Any, answer: EffectAnswer) -> bool:
        row.final = False
        return original(work, row, answer)

    patch.setattr(journal, "write_outcome", write)


def m_outcomes_are_not_journaled(patch: pytest.MonkeyPatch) -> None:
    """What became known is not kept."""
    patch.setattr(journal, "write_outcome", lambda work, row, answer: True)


def m_orphans_are_dropped(patch: pytest.MonkeyPatch) -> None:
    """An effect that became known too late is forgotten."""

    async def adopt(*given: object) -> None:
        return None

    patch.setattr(orphans, "adopt", adopt)


def m_a_person_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """A saga waits for a person and shows it to nobody."""

    async def park(self: Effects, plan: EffectPlan, question: str) -> None:
        self.question = question

    patch.setattr(Effects, "_park", park)


def m_wrong_amount_is_sent(patch: pytest.MonkeyPatch) -> None:
    """One minor unit too many is asked for."""
    original = authorization._authorize_call

    def call(*given: Any) -> Any:
        made = original(*given)
        return made.model_copy(update={"amount": made.amount + 1})

    patch.setattr(authorization, "_authorize_call", call)


def m_reason_changes(patch: pytest.MonkeyPatch) -> None:
    """A command depends on chance."""
    import itertools

    from workflows import effects as module

    count = itertools.count()
    patch.setattr(module, "formatted", lambda amount, currency: f"{amount} {next(count)}")
