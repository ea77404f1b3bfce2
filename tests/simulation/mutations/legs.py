"""Defects of failover: what another provider is asked to do."""

from __future__ import annotations

from typing import Any

import pytest

from activities import authorization, legs
from activities.effects import ProviderActivities
from recompense.contracts.steps import EffectPlan
from recompense.domain.effects import effect_key
from recompense.persistence import journal
from recompense.persistence.tables import Payment
from recompense.persistence.work import Work


def m_a_later_try_fails_over(patch: pytest.MonkeyPatch) -> None:
    """A later try that was not sent speaks for the tries before it."""

    async def goes_elsewhere(
        self: ProviderActivities, plan: EffectPlan, right_try: int, calls: list[Any]
    ) -> bool:
        if not plan.elsewhere:
            return False
        async with self._tools.store.work() as work:
            row = await journal.require(work, journal.position(plan))
            return await journal.conclude_absent(work, row, calls)

    patch.setattr(ProviderActivities, "_goes_elsewhere", goes_elsewhere)


def m_a_leg_keeps_its_key(patch: pytest.MonkeyPatch) -> None:
    """The next provider is asked under the key of the first."""

    def key(operation_id: str, step: str, attempt: int, leg: int = 1) -> str:
        return effect_key(operation_id, step, attempt)

    patch.setattr(legs, "effect_key", key)


def m_the_hold_stays_behind(patch: pytest.MonkeyPatch) -> None:
    """The payment moves to another provider, and the hold at the first one is not released."""

    async def release_hold(work: Work, payment: Payment, key: str) -> None:
        payment.amount_held = 0

    patch.setattr(authorization, "release_hold", release_hold)
