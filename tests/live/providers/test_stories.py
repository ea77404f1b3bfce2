"""The same stories end to end through every provider: HTTP in, Temporal and PostgreSQL between, the
vendor's stand-in at the end, and its own word on what it did.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recompense.contracts.provider import ProviderOperation
from recompense.persistence.database import Database
from recompense.persistence.verify import verify
from tests.conformance.cases import HTTP, WEBHOOKS, needs
from tests.conformance.targets import Effect, Meaning
from tests.live.providers.world import Stage
from tests.support.books import PAYMENTS_DISAGREE, UNBOOKED
from tests.support.platform import MERCHANT
from tests.support.stack import eventually

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID
REFUND = ProviderOperation.REFUND
CREATE_PAYOUT = ProviderOperation.CREATE_PAYOUT

LOST = ["reset_before", "reset_after", "error_after", "timeout_after", "malformed"]
"""Answers that are lost with the effect made or not, and all of them told by a look-up."""


@pytest.fixture(autouse=True)
async def books_agree(stage: Stage) -> Any:
    """After each story the ledger keeps its rules, and the rows agree with it."""
    yield
    database = Database(stage.api.database_url)
    async with database.engine.connect() as connection:
        report = await verify(connection)
    await database.close()
    assert report.in_order, report.first_wrong
    assert stage.rows(PAYMENTS_DISAGREE) == []
    # What an undo's webhook tells may come when the story is over.
    eventually(lambda: stage.rows(UNBOOKED) == [], "what became known is booked, or undone")


def authorized(stage: Stage, **changes: Any) -> dict[str, Any]:
    payment = stage.made("/v1/payments", stage.payment(**changes))
    assert payment["status"] == "authorized", payment
    assert payment["provider"] == stage.target.provider
    return payment


def captured(stage: Stage) -> dict[str, Any]:
    payment = authorized(stage)
    capture = stage.made(f"/v1/payments/{payment['id']}/captures", {"final": True})
    assert capture["status"] == "succeeded", capture
    return payment


def funded(stage: Stage) -> None:
    """Money that can be paid out: captured at the sandbox, whatever this provider can do."""
    body = stage.payment(
        provider="sandbox",
        payment_method={"type": "card_token", "token": "tok_ok"},
        capture_method="automatic",
    )
    if stage.target.provider == "sandbox":
        body["payment_method"]["token"] = stage.target.tokens[Meaning.GOOD]
    assert stage.made("/v1/payments", body)["status"] == "captured"


def payout(stage: Stage, meaning: Meaning = Meaning.GOOD_ACCOUNT) -> dict[str, Any]:
    return {
        "merchant_id": MERCHANT,
        "amount": 1_000,
        "currency": stage.target.currency,
        "destination": {"type": "bank_token", "token": stage.target.tokens[meaning]},
    }


def money(stage: Stage, amount: int) -> Effect:
    return Effect(amount, stage.target.currency)


@needs(AUTHORIZE, CAPTURE, VOID, "multiple_capture", "void_after_partial_capture")
def test_partial_captures_and_a_void_of_the_rest(stage: Stage) -> None:
    payment = authorized(stage)
    for amount in (4_000, 2_500):
        made = stage.made(f"/v1/payments/{payment['id']}/captures", {"amount": amount})
        assert made["status"] == "succeeded"
        assert stage.effects(made["id"]) == [("capture", money(stage, amount))]
    stage.made(f"/v1/payments/{payment['id']}/void")
    shown = stage.until(payment, lambda one: one["amount_capturable"] == 0)
    assert (shown["status"], shown["amount_captured"]) == ("captured", 6_500)
    assert stage.effects(payment["id"])[0] == ("authorize", money(stage, 10_000))


@needs(AUTHORIZE, CAPTURE, "partial_capture")
def test_partial_capture_that_is_final_releases_the_rest(stage: Stage) -> None:
    payment = authorized(stage)
    path = f"/v1/payments/{payment['id']}/captures"
    made = stage.made(path, {"amount": 4_000, "final": True})
    assert made["status"] == "succeeded"
    assert stage.effects(made["id"]) == [("capture", money(stage, 4_000))]
    refused = stage.api.post(path, {"amount": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_not_capturable")


@needs(AUTHORIZE, VOID)
def test_void_gives_the_whole_authorization_back(stage: Stage) -> None:
    payment = authorized(stage)
    stage.made(f"/v1/payments/{payment['id']}/void")
    shown = stage.until(payment, lambda one: one["status"] == "voided")
    assert shown["amount_capturable"] == 0
    refused = stage.api.post(f"/v1/payments/{payment['id']}/captures")
    assert refused.status_code == 409


@needs(AUTHORIZE, CAPTURE)
def test_automatic_capture(stage: Stage) -> None:
    payment = stage.made("/v1/payments", stage.payment(capture_method="automatic"))
    shown = stage.until(payment, lambda one: one["status"] == "captured")
    assert shown["amount_captured"] == 10_000
    made = stage.effects(payment["id"])
    assert {step for step, _ in made} >= {"authorize"}
    assert all(effect == money(stage, 10_000) for _, effect in made)


@needs(AUTHORIZE, Meaning.DECLINED)
def test_declined_payment_is_an_answer_without_effect(stage: Stage) -> None:
    token = {"type": "card_token", "token": stage.target.tokens[Meaning.DECLINED]}
    payment = stage.made("/v1/payments", stage.payment(payment_method=token))
    assert payment["status"] == "declined"
    assert payment["failure"]["code"]
    assert stage.effects(payment["id"]) == []


@needs(AUTHORIZE, CAPTURE, REFUND, "partial_refund")
def test_refund_in_two_parts(stage: Stage) -> None:
    payment = captured(stage)
    path = f"/v1/payments/{payment['id']}/refunds"
    for amount, left in ((4_000, 6_000), (6_000, 0)):
        refund = stage.made(path, {"amount": amount})
        assert refund["status"] == "succeeded", refund
        assert stage.effects(refund["id"]) == [("refund", money(stage, amount))]
        shown = stage.api.get(f"/v1/payments/{payment['id']}").json()
        assert shown["amount_refunded"] == 10_000 - left
        assert shown["status"] == ("partially_refunded" if left else "refunded")
    refused = stage.api.post(path, {"amount": 1})
    assert refused.status_code == 409


@needs(CREATE_PAYOUT)
def test_payout_is_paid(stage: Stage) -> None:
    funded(stage)
    made = stage.made("/v1/payouts", payout(stage))
    paid = stage.until(made, lambda one: one["status"] == "paid")
    assert paid["provider_reference"]
    assert stage.effects(made["id"]) == [("create_payout", money(stage, 1_000))]


@needs(CREATE_PAYOUT, Meaning.CLOSED_ACCOUNT)
def test_payout_to_a_closed_account_fails_and_the_money_is_back(stage: Stage) -> None:
    funded(stage)
    before = available(stage)
    made = stage.made("/v1/payouts", payout(stage, Meaning.CLOSED_ACCOUNT))
    stage.until(made, lambda one: one["status"] == "failed")
    assert available(stage) == before


def available(stage: Stage) -> int:
    rows = stage.api.get(f"/v1/merchants/{MERCHANT}/balances").json()["data"]
    amounts = {row["currency"]: row["available"] for row in rows}
    return int(amounts[stage.target.currency])


@needs(HTTP, AUTHORIZE, "lookup_by_reference")
@pytest.mark.parametrize("lost", LOST)
def test_lost_authorization_is_found_and_made_once(stage: Stage, lost: str) -> None:
    stage.meets(lost)
    payment = authorized(stage)
    assert stage.proxy.fired == 1
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(HTTP, AUTHORIZE, CAPTURE, REFUND, "lookup_by_reference")
@pytest.mark.parametrize("lost", LOST)
def test_lost_capture_and_lost_refund_are_found_and_made_once(stage: Stage, lost: str) -> None:
    payment = authorized(stage)
    stage.meets(lost)
    capture = stage.made(f"/v1/payments/{payment['id']}/captures", {"final": True})
    assert (capture["status"], stage.proxy.fired) == ("succeeded", 1)
    assert stage.effects(capture["id"]) == [("capture", money(stage, 10_000))]
    stage.meets(lost)
    refund = stage.made(f"/v1/payments/{payment['id']}/refunds")
    assert (refund["status"], stage.proxy.fired) == ("succeeded", 1)
    assert stage.effects(refund["id"]) == [("refund", money(stage, 10_000))]


@needs(HTTP, AUTHORIZE, VOID, "lookup_by_reference")
@pytest.mark.parametrize("lost", ["reset_before", "reset_after"])
def test_lost_void_is_found_and_made_once(stage: Stage, lost: str) -> None:
    payment = authorized(stage)
    stage.meets(lost)
    stage.made(f"/v1/payments/{payment['id']}/void")
    stage.until(payment, lambda one: one["status"] == "voided")
    assert stage.proxy.fired == 1
    kinds = [step for step, _ in stage.effects(payment["id"])]
    assert kinds.count("void") <= 1


@needs(HTTP, CREATE_PAYOUT, "lookup_by_reference")
@pytest.mark.parametrize("lost", LOST)
def test_lost_payout_is_found_and_made_once(stage: Stage, lost: str) -> None:
    funded(stage)
    if stage.target.provider == "sandbox":
        stage.proxy.fired = 0
    stage.meets(lost)
    made = stage.made("/v1/payouts", payout(stage))
    stage.until(made, lambda one: one["status"] == "paid")
    assert stage.proxy.fired == 1
    assert stage.effects(made["id"]) == [("create_payout", money(stage, 1_000))]


@needs(WEBHOOKS, CREATE_PAYOUT)
def test_duplicate_late_and_forged_webhooks_change_nothing(stage: Stage) -> None:
    funded(stage)
    made = stage.made("/v1/payouts", payout(stage))
    paid = stage.until(made, lambda one: one["status"] == "paid")
    before = told(stage, made["id"])
    assert before
    event_id = f"evt_{made['id']}"
    wanted = {"event_id": event_id, "reference": made["id"]}
    genuine = stage.target.delivery(at=datetime.now(UTC), **wanted)
    forged = stage.target.delivery(at=datetime.now(UTC), secret="00" * 32, **wanted)
    assert genuine is not None
    assert forged is not None
    assert stage.deliver(forged.headers, forged.body).status_code in (400, 401)
    for _ in range(3):
        assert 200 <= stage.deliver(genuine.headers, genuine.body).status_code < 300
    shown = stage.until(paid, lambda one: applied(stage, made["id"]))
    assert (shown["status"], told(stage, made["id"])) == ("paid", before)
    assert len(stage.effects(made["id"])) == 1


def applied(stage: Stage, operation_id: str) -> bool:
    """Whether every event about an operation was applied, and none is stored twice."""
    rows = stage.rows(
        "SELECT status, count(*), count(DISTINCT event_id) FROM provider_events"
        " WHERE operation_id = %s GROUP BY status",
        operation_id,
    )
    assert all(count == distinct for _, count, distinct in rows)
    return bool(rows) and all(status != "received" for status, _, _ in rows)


def told(stage: Stage, operation_id: str) -> list[Any]:
    """What the platform has told the world about an operation."""
    return stage.rows(
        "SELECT type FROM events WHERE data->'object'->>'id' = %s ORDER BY created, seq",
        operation_id,
    )
