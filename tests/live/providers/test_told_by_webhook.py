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
    tried_again(stage, f"authorize%2F{payment['id']}")
    shown = stage.until(payment, lambda one: one["status"] == "authorized")
    assert not shown["needs_attention"]
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(HTTP, CAPTURE, "truth_by_webhook", "scripts:names_the_payment")
def test_webhook_that_names_only_the_payment_is_not_guessed_at(stage: Stage) -> None:
    """No answer told the provider's own name of the capture, so nothing says whose news it is."""
    payment = authorized(stage)
    stage.meets("reset_after", times=-1)
    path = f"/v1/payments/{payment['id']}/captures"
    answer = stage.api.post(path, {"final": True}, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    capture = answer.json()
    stage.until(payment, lambda one: one["needs_attention"])
    assert stage.effects(capture["id"]) == [("capture", money(stage, 10_000))]
    stage.meets("none")
    tried_again(stage, f"capture%2F{capture['id']}")
    stage.until(capture, lambda one: one["status"] == "succeeded")
    assert stage.effects(capture["id"]) == [("capture", money(stage, 10_000))]


def tried_again(stage: Stage, saga: str) -> None:
    resolved = stage.api.post(
        f"/v1/ops/sagas/{saga}/resolve",
        {"decision": "retry", "reason": "the provider is reached again"},
    )
    assert resolved.status_code == 200, resolved.text
