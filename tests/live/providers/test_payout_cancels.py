"""A payout at a provider that takes none back: the refusal is stable, and changes nothing."""

from __future__ import annotations

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import HTTP, needs
from tests.live.providers.test_stories import books_agree, funded, money, payout
from tests.live.providers.world import Stage

__all__ = ["books_agree"]

CREATE_PAYOUT = ProviderOperation.CREATE_PAYOUT


@needs(HTTP, CREATE_PAYOUT, "pending", "truth_by_webhook")
def test_payout_that_cannot_be_taken_back_is_refused_and_paid(stage: Stage) -> None:
    funded(stage)
    stage.target.arm(CREATE_PAYOUT, "pending", delay_ms=4_000)
    answer = stage.api.post("/v1/payouts", payout(stage), headers={"Prefer": "wait=30"})
    made = answer.json()
    assert (answer.status_code, made["status"]) == (201, "in_transit"), answer.text
    path = f"/v1/payouts/{made['id']}/cancel"
    for _ in range(2):
        refused = stage.api.post(path, {"reason": "wrong account"})
        assert (refused.status_code, refused.json()["code"]) == (409, "payout_not_cancelable")
    assert [call.operation for call, _ in stage.journaled(made["id"])] == [CREATE_PAYOUT]
    stage.until(made, lambda one: one["status"] == "paid")
    assert stage.effects(made["id"]) == [("create_payout", money(stage, 1_000))]
