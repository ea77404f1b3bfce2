"""Inbound events: pulled, applied along the transition tables, passed to whoever waits."""

from __future__ import annotations

import asyncio
from typing import Any

from recompense.persistence.tables import Payment
from tests.support.books import assert_books_agree
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import captured, deliver, operation, payout_input, reset
from workflows.authorize import AuthorizePayment
from workflows.payout import Payout


async def payout_row(platform: Platform, payout: Any) -> Any:
    (row,) = await platform.rows("SELECT * FROM payouts WHERE id = :id", id=payout.payout_id)
    return row


async def test_returned_payout_comes_back_once(platform: Platform) -> None:
    await captured(platform)
    payout = payout_input(token="tok_returned")
    await platform.decide(Payout, payout)
    await platform.handle(payout).result()
    assert (await payout_row(platform, payout))["status"] == "paid"
    await asyncio.sleep(2.5)
    told = await deliver(platform, f"{payout.payout_id}:payout:1", payout.payout_id)
    assert told == "a paid payout came back"
    again = await deliver(platform, f"{payout.payout_id}:payout:1", payout.payout_id)
    assert again == "nothing new"
    assert (await payout_row(platform, payout))["status"] == "returned"
    assert (
        len(await platform.rows("SELECT 1 FROM operation_runs WHERE workflow_id LIKE 'prov%'")) == 0
    )
    await assert_books_agree(platform)


async def test_event_wakes_the_saga_that_waits(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, authorize)
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "succeed"}).raise_for_status()
    told = await deliver(platform, None, authorize.payment_id)
    assert told == "told the saga that waits for it"
    assert (await platform.handle(authorize).result())["ended"] == "authorized"
    await assert_books_agree(platform)


async def test_further_action_of_the_payer_is_shown_and_told_once(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, authorize)
    further = decided.resource.next_action.url
    async with platform.database.transaction() as session:
        payment = await session.get(Payment, authorize.payment_id)
        assert payment is not None
        payment.next_action = {"type": "redirect", "url": "https://acs.example/the-first"}
    for _ in range(2):
        told = await deliver(platform, None, authorize.payment_id)
        assert told == "told the saga that waits for it"
    (shown,) = await platform.rows(
        "SELECT next_action FROM payments WHERE id = :id", id=authorize.payment_id
    )
    assert shown["next_action"] == {"type": "redirect", "url": further}
    asked = await platform.rows(
        "SELECT 1 FROM events WHERE payment_id = :id AND type = 'payment.requires_action'",
        id=authorize.payment_id,
    )
    assert len(asked) == 2
    platform.sandbox.http.post(further, json={"result": "succeed"}).raise_for_status()
    assert (await platform.handle(authorize).result())["ended"] == "authorized"
    await assert_books_agree(platform)


async def test_event_about_nothing_of_ours_is_ignored(platform: Platform) -> None:
    told = await deliver(platform, "pay_elsewhere:authorize:1", "pay_elsewhere")
    assert told == "nothing of ours, or applied before"
    (event,) = await platform.rows("SELECT status FROM provider_events")
    assert event["status"] == "ignored"


async def test_late_event_does_not_reopen_a_closed_attempt(platform: Platform) -> None:
    """Its attempt was given up as never made, and then the effect shows up: it is an orphan, and is
    taken back.
    """
    authorize = authorize_input()
    platform.sandbox.arm("authorize", "unavailable", times=-1, reference=authorize.payment_id)
    await platform.decide(AuthorizePayment, authorize)
    platform.sandbox.clear_faults()
    key = f"{authorize.payment_id}:authorize:1"
    platform.sandbox.http.post(
        "/v1/authorizations",
        json={
            "reference": authorize.payment_id,
            "amount": authorize.amount,
            "currency": "EUR",
            "token": "tok_ok",
        },
        headers={"Idempotency-Key": key},
    ).raise_for_status()
    told = await deliver(platform, key, authorize.payment_id)
    assert told == "an effect nobody waits for: it is taken back"
    row = await operation(platform, authorize)
    assert (row["attempt"], row["attempt_state"]) == (1, "closed")
    (orphan,) = await platform.rows("SELECT * FROM orphans")
    assert orphan["status"] == "undone"
    made = [effect["operation"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert made == ["authorize", "void"]
    history = await platform.handle(authorize).fetch_history()
    await reset(platform, authorize, history.run_id, 4)
    assert (await platform.handle(authorize).result())["attempt"] == 2
