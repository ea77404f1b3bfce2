"""A payout that was paid and came back, through every provider that pays out."""

from __future__ import annotations

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import needs
from tests.conformance.targets import Meaning
from tests.live.providers.test_stories import available, books_agree, funded, money, payout
from tests.live.providers.world import Stage

__all__ = ["books_agree"]


@needs(ProviderOperation.CREATE_PAYOUT, Meaning.RETURNED_ACCOUNT)
def test_payout_that_comes_back_is_the_merchant_s_again(stage: Stage) -> None:
    funded(stage)
    before = available(stage)
    made = stage.made("/v1/payouts", payout(stage, Meaning.RETURNED_ACCOUNT))
    stage.until(made, lambda one: one["status"] == "returned")
    assert available(stage) == before
    assert stage.effects(made["id"]) == [("create_payout", money(stage, 1_000))]
