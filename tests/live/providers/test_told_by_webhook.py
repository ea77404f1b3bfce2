"""Providers that can be asked nothing: webhooks tell what was lost, and silence proves nothing."""

from __future__ import annotations

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import HTTP, needs
from tests.live.providers.test_stories import authorized, money
from tests.live.providers.world import Stage

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE


@needs(HTTP, CAPTURE, "truth_by_webhook")
def test_webhook_tells_what_every_answer_has_lost(stage: Stage) -> None:
    payment = authorized(stage)
    stage.meets("reset_after", times=-1)
    made = stage.made(f"/v1/payments/{payment['id']}/captures", {"final": True})
    assert (made["status"], stage.proxy.fired > 0) == ("succeeded", True)
    assert stage.effects(made["id"]) == [("capture", money(stage, 10_000))]


@needs(HTTP, AUTHORIZE, "truth_by_webhook")
def test_silence_proves_nothing_and_a_person_has_it_tried_again(stage: Stage) -> None:
    stage.meets("reset_before", times=-1)
    answer = stage.api.post("/v1/payments", stage.payment(), headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    payment = stage.until(answer.json(), lambda one: one["needs_attention"])
    assert payment["status"] == "processing"
    assert stage.effects(payment["id"]) == []
    stage.meets("none")
    resolved = stage.api.post(
        f"/v1/ops/sagas/authorize%2F{payment['id']}/resolve",
        {"decision": "retry", "reason": "the provider is reached again"},
    )
    assert resolved.status_code == 200, resolved.text
    shown = stage.until(payment, lambda one: one["status"] == "authorized")
    assert not shown["needs_attention"]
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]
