"""A payer who has to authenticate (3-D Secure), from the answer that says so to its end: who does,
who fails, and who never comes.
"""

from __future__ import annotations

from typing import Any

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import HTTP, WEBHOOKS, needs
from tests.conformance.targets import Meaning
from tests.live.providers.test_stories import applied, books_agree, money
from tests.live.providers.world import Stage

__all__ = ["books_agree"]

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID


def asked(stage: Stage) -> dict[str, Any]:
    """A payment whose payer has to act, and nothing is held yet at the provider."""
    token = {"type": "card_token", "token": stage.target.tokens[Meaning.ACTION]}
    payment = stage.made("/v1/payments", stage.payment(payment_method=token))
    assert payment["status"] == "requires_action", payment
    assert stage.effects(payment["id"]) == []
    return payment


@needs(AUTHORIZE, CAPTURE, Meaning.ACTION)
def test_payer_who_authenticates_is_charged(stage: Stage) -> None:
    payment = asked(stage)
    stage.finish_action(payment, succeed=True)
    shown = stage.until(payment, lambda one: one["status"] == "authorized")
    assert (shown["amount_capturable"], shown["next_action"]) == (10_000, None)
    capture = stage.made(f"/v1/payments/{payment['id']}/captures", {"final": True})
    assert capture["status"] == "succeeded", capture
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]
    assert stage.effects(capture["id"]) == [("capture", money(stage, 10_000))]


@needs(AUTHORIZE, Meaning.ACTION)
def test_payer_who_fails_is_declined_and_nothing_is_held(stage: Stage) -> None:
    payment = asked(stage)
    stage.finish_action(payment, succeed=False)
    shown = stage.until(payment, lambda one: one["status"] == "declined")
    assert shown["failure"]["code"] != "action_expired"
    assert_nothing_is_held(stage, shown)


@needs(AUTHORIZE, VOID, Meaning.ACTION)
def test_payer_who_never_comes_is_given_up_here_and_at_the_provider(stage: Stage) -> None:
    payment = asked(stage)
    shown = stage.until(payment, lambda one: one["status"] == "declined")
    assert shown["failure"]["code"] == "action_expired"
    assert_nothing_is_held(stage, shown)
    outcomes = [(call.operation, outcome) for call, outcome in stage.journaled(payment["id"])]
    # Who has to be handed what a payer brings back, and was handed nothing, has nothing to cancel.
    decides_by_itself = not stage.target.capabilities.truth_by_webhook
    assert outcomes[1:] == ([(VOID, "approved")] if decides_by_itself else [])


@needs(HTTP, AUTHORIZE, Meaning.ACTION, "lookup_by_reference")
def test_payer_is_sent_to_the_page_that_a_lost_answer_named(stage: Stage) -> None:
    stage.meets("reset_after")
    payment = asked(stage)
    assert stage.proxy.fired == 1
    stage.finish_action(payment, succeed=True)
    stage.until(payment, lambda one: one["status"] == "authorized")
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(AUTHORIZE, WEBHOOKS, Meaning.ACTION)
def test_payer_who_has_authenticated_is_told_by_a_webhook_of_this_payment(stage: Stage) -> None:
    payment = asked(stage)
    stage.finish_action(payment, succeed=True)
    shown = stage.until(payment, lambda one: applied(stage, payment["id"]))
    shown = stage.until(shown, lambda one: one["status"] == "authorized")
    assert len(stage.effects(payment["id"])) == 1


def assert_nothing_is_held(stage: Stage, payment: dict[str, Any]) -> None:
    assert payment["amount_capturable"] == 0
    assert stage.effects(payment["id"]) == []
    held = "SELECT amount_held FROM payments WHERE id = %s"
    assert stage.rows(held, payment["id"]) == [(0,)]
