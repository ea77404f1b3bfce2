"""Deliveries are tried until they are taken, whatever dies in between, and hold nobody else up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from standardwebhooks import Webhook

from recompense.persistence import deliveries, webhooks
from recompense.persistence.database import Database
from recompense.webhooks.courier import Courier, Pace
from recompense.webhooks.sending import Outcome, Result
from tests.support.commit_proxy import Fault, commit_proxy
from tests.support.couriers import Post, eventually, open_post

SHOP, OTHER = "https://shop.example/", "https://other.example/"
REJECTED = Result(Outcome.REJECTED, 500)
CAPTURED = "payment.captured"
LEASE_OVER = "UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp()"


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    """A courier on this test's own database."""
    async with open_post(database_url) as post:
        yield post


async def _claimed(post: Post, endpoint_id: str, most: int = 10) -> list[deliveries.Claimed]:
    async with post.database.engine.begin() as connection:
        return await deliveries.claim(connection, endpoint_id, most=most, lease_seconds=60)


async def test_event_arrives_signed_with_the_object_as_it_was(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    (event,) = await post.emitted(CAPTURED, merchant_id="mer_1")
    await post.turn()
    ((url, headers, body),) = post.sender.sent
    assert (url, headers["webhook-id"]) == (SHOP, event)
    async with post.database.transaction() as session:
        found = await webhooks.find(session, endpoint)
    assert found is not None
    secret = post.vault.open(str(found.secret), endpoint)
    shown = Webhook(secret).verify(body, dict(headers))
    assert shown == json.loads(body)
    assert set(shown) == {"id", "type", "timestamp", "data"}
    assert (shown["id"], shown["type"]) == (event, CAPTURED)
    assert shown["data"] == {"object": {"object": "test", "number": 0}}
    assert await post.states(endpoint) == ["delivered"]
    await post.turn()
    assert len(post.sender.sent) == 1


async def test_try_that_was_not_taken_comes_again_later_under_the_same_id(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    post.sender.results[SHOP] = [REJECTED, Result(Outcome.TIMEOUT), Result(Outcome.DELIVERED, 200)]
    (event,) = await post.emitted(CAPTURED)
    waits = []
    for _ in range(3):
        await post.all_due()
        await post.turn()
        (row,) = await post.rows(
            "SELECT tries, state, last_outcome, last_status, CAST(extract(epoch FROM"
            " next_attempt_at - updated_at) AS float8) AS wait FROM webhook_deliveries"
        )
        waits.append((row["tries"], row["state"], row["last_outcome"], round(row["wait"], 1)))
    assert [wait[:3] for wait in waits] == [
        (1, "pending", "rejected"),
        (2, "pending", "timeout"),
        (3, "delivered", "delivered"),
    ]
    assert 1 <= waits[0][3] <= 1.3
    assert 2 <= waits[1][3] <= 2.6
    assert post.sender.ids() == [event] * 3
    assert len({body for _, _, body in post.sender.sent}) == 1
    assert await post.states(endpoint) == ["delivered"]


async def test_receivers_wish_to_wait_is_honoured(post: Post) -> None:
    await post.endpoint(SHOP)
    post.sender.results[SHOP] = [Result(Outcome.REJECTED, 429, retry_after_seconds=900)]
    await post.emitted(CAPTURED)
    await post.turn()
    (row,) = await post.rows(
        "SELECT next_attempt_at - updated_at > interval '899 seconds' AS later"
        " FROM webhook_deliveries"
    )
    assert row["later"]


async def test_courier_that_dies_after_its_claim_leaves_the_delivery_to_another(
    post: Post,
) -> None:
    endpoint = await post.endpoint(SHOP)
    (event,) = await post.emitted(CAPTURED)
    await post.handed_out()
    assert [one.event_id for one in await _claimed(post, endpoint)] == [event]
    await post.turn()
    assert post.sender.sent == []
    await post.rows(LEASE_OVER)
    await post.turn()
    assert post.sender.ids() == [event]
    assert await post.states(endpoint) == ["delivered"]


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.TERMINATED])
async def test_try_that_was_sent_and_not_recorded_goes_out_again_under_its_id(
    post: Post, database_url: str, fault: Fault
) -> None:
    """The connection breaks in the commit that records the try; the receiver has taken it."""
    endpoint = await post.endpoint(SHOP)
    (event,) = await post.emitted(CAPTURED)
    await post.handed_out()
    (one,) = await _claimed(post, endpoint)
    async with commit_proxy(database_url) as proxy:
        behind = Database(proxy.url)
        courier = Courier(behind, post.vault, post.sender)
        proxy.break_commit(fault, 1)
        assert not await courier._try(one)
        assert proxy.fired
        await behind.close()
    if fault is Fault.CUT_AFTER:
        assert await post.states(endpoint) == ["delivered"]
        return
    assert await post.states(endpoint) == ["pending"]
    await post.rows(LEASE_OVER)
    await post.turn()
    assert post.sender.ids() == [event, event]
    assert await post.states(endpoint) == ["delivered"]


async def test_late_record_of_an_old_claim_changes_nothing(post: Post) -> None:
    """A courier that was stopped in its try wakes after another one has taken over."""
    endpoint = await post.endpoint(SHOP)
    await post.emitted(CAPTURED)
    await post.handed_out()
    (old,) = await _claimed(post, endpoint)
    await post.rows(LEASE_OVER)
    (new,) = await _claimed(post, endpoint)
    assert new.claims == old.claims + 1
    await post.courier._record(old, REJECTED)
    (row,) = await post.rows("SELECT state, tries FROM webhook_deliveries")
    assert (row["state"], row["tries"]) == ("pending", 0)
    await post.courier._record(new, Result(Outcome.DELIVERED, 200))
    assert await post.states(endpoint) == ["delivered"]


async def test_two_couriers_never_claim_the_same_delivery(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    made = await post.emitted(CAPTURED, count=60)
    await post.handed_out()

    async def claim_all() -> list[str]:
        mine: list[str] = []
        while found := await _claimed(post, endpoint, most=3):
            mine += [one.event_id for one in found]
        return mine

    claimed = await asyncio.gather(*(claim_all() for _ in range(6)))
    assert sorted(event for own in claimed for event in own) == sorted(made)


async def test_slow_and_dead_endpoints_hold_nobody_up(database_url: str) -> None:
    """More of them than there are rounds hang in their tries; a good one is served meanwhile."""
    pace = Pace(rounds=2, failing_rounds=2)
    async with open_post(database_url, pace) as post:
        for number in range(6):
            url = f"https://slow-{number}.example/"
            endpoint = await post.endpoint(url)
            post.sender.holds[url] = asyncio.Event()
            post.sender.results[url] = [REJECTED]
            await post.rows(
                "UPDATE webhook_endpoints SET failing_since = now() WHERE id = :id", id=endpoint
            )
        good = await post.endpoint(SHOP)
        made = await post.emitted(CAPTURED, count=20)
        await post.handed_out()
        await post.courier.turn()

        async def all_taken() -> bool:
            return await post.states(good) == ["delivered"] * len(made)

        await eventually(all_taken, "the good endpoint has everything")
        assert post.sender.at_once == pace.failing_rounds * pace.failing_tries_at_once
        for held in post.sender.holds.values():
            held.set()
        await post.courier.settled()


async def test_long_queue_of_one_endpoint_is_no_privilege(database_url: str) -> None:
    """There is one place: the other endpoint gets it after a batch, not after the queue."""
    async with open_post(database_url, Pace(rounds=1, tries_at_once=2)) as post:
        await post.endpoint(SHOP)
        await post.emitted(CAPTURED, count=40)
        await post.endpoint(OTHER, events=["payout.paid"])
        (event,) = await post.emitted("payout.paid")
        await post.turn()
        assert len(post.sender.sent) == 42
        place = [url for url, _, _ in post.sender.sent].index(OTHER)
        assert place < 10
        assert post.sender.ids(OTHER) == [event]


async def test_tries_at_once_to_one_endpoint_are_bounded(database_url: str) -> None:
    async with open_post(database_url, Pace(tries_at_once=4)) as post:
        await post.endpoint(SHOP)
        await post.emitted(CAPTURED, count=30)
        await post.turn()
        assert len(set(post.sender.ids())) == 30
        assert post.sender.most_at_once <= 4


async def test_410_disables_at_once_and_tells_the_others(post: Post) -> None:
    gone = await post.endpoint(SHOP, merchant_id="mer_1")
    await post.endpoint(OTHER, merchant_id="mer_1")
    post.sender.results[SHOP] = [Result(Outcome.GONE, 410)]
    (event,) = await post.emitted(CAPTURED, merchant_id="mer_1")
    await post.turn()
    assert await post.states(gone) == ["failed"]
    await post.turn()
    told = [json.loads(body) for url, _, body in post.sender.sent if url == OTHER]
    assert [one["type"] for one in told] == [CAPTURED, "webhook_endpoint.disabled"]
    shown = told[1]["data"]["object"]
    assert (shown["id"], shown["status"]) == (gone, "disabled")
    assert post.sender.ids(SHOP) == [event]
    (audited,) = await post.rows(
        "SELECT reason FROM audit_log WHERE action = 'webhook_endpoint_disable'"
    )
    assert audited["reason"] == "it answered 410"


async def test_endpoint_is_disabled_when_a_delivery_was_not_taken_for_three_days(
    post: Post,
) -> None:
    dead = await post.endpoint(SHOP)
    post.sender.results[SHOP] = [Result(Outcome.UNREACHABLE)]
    await post.emitted(CAPTURED, count=2)
    await post.turn()
    status = "SELECT status FROM webhook_endpoints"
    for age, after in (("71 hours", "enabled"), ("73 hours", "disabled")):
        await post.rows("UPDATE webhook_endpoints SET enabled_at = now() - interval '30 days';")
        await post.rows(
            f"UPDATE webhook_deliveries SET began_at = now() - interval '{age}'"  # noqa: S608
        )
        await post.all_due()
        await post.turn()
        assert [row["status"] for row in await post.rows(status)] == [after]
    assert "failed" in await post.states(dead)
    events = await post.rows("SELECT type FROM events WHERE type = 'webhook_endpoint.disabled'")
    assert len(events) == 1
    sent = len(post.sender.sent)
    await post.all_due()
    await post.turn()
    assert len(post.sender.sent) == sent


async def test_enabled_endpoint_gets_what_waits_and_three_days_anew(post: Post) -> None:
    dead = await post.endpoint(SHOP)
    post.sender.results[SHOP] = [Result(Outcome.GONE, 410)]
    (given_up,) = await post.emitted(CAPTURED)
    await post.turn()
    (missed,) = await post.emitted(CAPTURED)
    await post.handed_out()
    async with post.database.transaction() as session:
        found = await webhooks.find_event(session, given_up)
        assert found is not None
        enabled = await webhooks.enable(session, dead, actor="test")
        assert enabled is not None
        assert enabled.status == "enabled"
        await webhooks.send_again(session, found, seen_by=None, endpoint_id=None, actor="test")
    await post.rows(
        "UPDATE webhook_deliveries SET began_at = now() - interval '9 days' WHERE state = 'pending'"
    )
    post.sender.results[SHOP] = [Result(Outcome.UNREACHABLE)]
    await post.turn()
    assert await post.states(dead) == ["pending"]
    assert missed not in post.sender.ids(), "what came while it was disabled is not for it"


async def test_delivery_asked_by_hand_goes_out_again_though_it_was_delivered(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    late = await post.endpoint(OTHER, events=["payout.paid"])
    (event,) = await post.emitted(CAPTURED)
    await post.turn()
    async with post.database.transaction() as session:
        found = await webhooks.find_event(session, event)
        assert found is not None
        await webhooks.send_again(session, found, seen_by=None, endpoint_id=None, actor="test")
    await post.turn()
    assert post.sender.ids(SHOP) == [event, event]
    assert await post.states(endpoint) == ["delivered"]
    assert await post.states(late) == []


async def test_delivery_asked_by_hand_while_it_is_under_way_goes_out_once_more(
    post: Post,
) -> None:
    endpoint = await post.endpoint(SHOP)
    (event,) = await post.emitted(CAPTURED)
    await post.handed_out()
    (under_way,) = await _claimed(post, endpoint)
    async with post.database.transaction() as session:
        found = await webhooks.find_event(session, event)
        assert found is not None
        await webhooks.send_again(session, found, seen_by=None, endpoint_id=None, actor="test")
    await post.courier._record(under_way, Result(Outcome.DELIVERED, 200))
    assert await post.states(endpoint) == ["pending"]
    await post.turn()
    assert post.sender.ids() == [event]


async def test_test_event_goes_to_its_endpoint_alone_even_when_asked_again(post: Post) -> None:
    endpoint = await post.endpoint(SHOP, events=["payout.paid"])
    await post.endpoint(OTHER)
    async with post.database.transaction() as session:
        found = await webhooks.find(session, endpoint)
        assert found is not None
        event = await webhooks.make_test_event(session, found, "evt_test")
        assert await webhooks.make_test_event(session, found, "evt_test") is event
    await post.turn()
    async with post.database.transaction() as session:
        await webhooks.send_again(session, event, seen_by=None, endpoint_id=None, actor="test")
    await post.turn()
    assert post.sender.ids(SHOP) == ["evt_test", "evt_test"]
    assert post.sender.ids(OTHER) == []


async def test_stopped_courier_finishes_its_tries_and_begins_none(post: Post) -> None:
    endpoint = await post.endpoint(SHOP)
    post.sender.holds[SHOP] = asyncio.Event()
    await post.emitted(CAPTURED, count=30)
    await post.handed_out()
    stop = asyncio.Event()
    running = asyncio.create_task(post.courier.run(stop))

    async def tries_are_under_way() -> bool:
        return post.sender.at_once == Pace().tries_at_once

    await eventually(tries_are_under_way, "the first tries are under way")
    stop.set()

    async def it_begins_nothing_more() -> bool:
        return post.courier._stopping.is_set()

    await eventually(it_begins_nothing_more, "the courier drains")
    assert not running.done()
    post.sender.holds[SHOP].set()
    await running
    assert (await post.states(endpoint)).count("delivered") == Pace().tries_at_once
    assert len(post.sender.sent) == Pace().tries_at_once


async def test_tries_are_counted_by_how_they_ended(post: Post) -> None:
    await post.endpoint(SHOP)
    post.sender.results[SHOP] = [REJECTED, Result(Outcome.DELIVERED, 200)]
    await post.emitted(CAPTURED)
    await post.turn()
    await post.all_due()
    await post.turn()
    async with post.database.engine.begin() as connection:
        counted = await deliveries.tallies(connection)
    assert set(counted) == {outcome.value for outcome in Outcome}
    assert {name: count for name, count in counted.items() if count} == {
        "delivered": 1,
        "rejected": 1,
    }
