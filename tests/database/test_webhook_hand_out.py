"""Events are handed out to the endpoints that take them: in order, without a gap, once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import text

from recompense.persistence import deliveries
from tests.support.couriers import Post, emit_in, eventually, open_post

CAPTURED, REFUNDED = "payment.captured", "refund.succeeded"


@pytest.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    """A courier on this test's own database."""
    async with open_post(database_url) as post:
        yield post


async def _handed_to(post: Post, endpoint_id: str) -> list[str]:
    found = await post.rows(
        "SELECT d.event_id FROM webhook_deliveries d JOIN events e ON e.id = d.event_id"
        " WHERE d.endpoint_id = :id ORDER BY e.created, e.seq",
        id=endpoint_id,
    )
    return [row["event_id"] for row in found]


async def test_each_endpoint_gets_the_types_and_the_merchant_that_it_takes(post: Post) -> None:
    everything = await post.endpoint()
    refunds = await post.endpoint(events=[REFUNDED])
    of_one = await post.endpoint(merchant_id="mer_1")
    refunds_of_two = await post.endpoint(events=["payout.paid", REFUNDED], merchant_id="mer_2")
    one = await post.emitted(CAPTURED, REFUNDED, merchant_id="mer_1")
    two = await post.emitted(CAPTURED, REFUNDED, merchant_id="mer_2")
    nobodys = await post.emitted("webhook_endpoint.disabled")
    await post.handed_out()
    assert await _handed_to(post, everything) == [*one, *two, *nobodys]
    assert await _handed_to(post, refunds) == [one[1], two[1]]
    assert await _handed_to(post, of_one) == one
    assert await _handed_to(post, refunds_of_two) == [two[1]]


async def test_events_from_before_an_endpoint_was_made_are_not_for_it(post: Post) -> None:
    await post.emitted(CAPTURED)
    await post.handed_out()
    late = await post.endpoint()
    after = await post.emitted(CAPTURED)
    await post.handed_out()
    assert await _handed_to(post, late) == after


async def test_event_that_commits_late_is_not_passed_by(post: Post) -> None:
    """The late one has the lower number; nothing is handed out beyond it until it is there."""
    endpoint = await post.endpoint()
    async with post.database.transaction() as slow:
        late = await emit_in(slow, CAPTURED)
        early = await post.emitted(REFUNDED)
        async with post.database.engine.begin() as connection:
            assert await deliveries.hand_out(connection) == 0
    await post.handed_out()
    assert await _handed_to(post, endpoint) == [*late, *early]


async def test_page_ends_before_what_may_still_commit(post: Post) -> None:
    """An event before the open transaction is handed out, one behind it waits for it."""
    endpoint = await post.endpoint()
    first = await post.emitted(CAPTURED)
    async with post.database.transaction() as slow:
        late = await emit_in(slow, CAPTURED)
        behind = await post.emitted(REFUNDED)

        async def first_is_handed_out() -> bool:
            async with post.database.engine.begin() as connection:
                await deliveries.hand_out(connection)
            return await _handed_to(post, endpoint) == first

        await eventually(first_is_handed_out, "the first event is handed out, and nothing else")
    await post.handed_out()
    assert await _handed_to(post, endpoint) == [*first, *late, *behind]


async def test_rolled_back_event_is_nobodys_and_holds_nothing_up(post: Post) -> None:
    endpoint = await post.endpoint()
    with suppress(ZeroDivisionError):
        async with post.database.transaction() as session:
            await emit_in(session, CAPTURED)
            raise ZeroDivisionError
    after = await post.emitted(REFUNDED)
    await post.handed_out()
    assert await _handed_to(post, endpoint) == after


async def test_many_writers_and_couriers_hand_each_event_out_once(post: Post) -> None:
    """Sixteen writers commit in any order while four couriers hand out small pages."""
    endpoint = await post.endpoint()
    dice = random.Random(7)  # noqa: S311 - a seed makes the case
    pauses = [[dice.random() / 100 for _ in range(5)] for _ in range(16)]
    writing = asyncio.Event()

    async def write(own: list[float]) -> list[str]:
        made = []
        for pause in own:
            async with post.database.transaction() as session:
                made += await emit_in(session, CAPTURED, REFUNDED)
                await asyncio.sleep(pause)
        return made

    async def hand_out() -> None:
        while not writing.is_set():
            async with post.database.engine.begin() as connection:
                await deliveries.hand_out(connection, most=3)
            await asyncio.sleep(0)

    couriers = [asyncio.create_task(hand_out()) for _ in range(4)]
    made = await asyncio.gather(*(write(own) for own in pauses))
    writing.set()
    await asyncio.gather(*couriers)
    await post.handed_out()
    handed = await _handed_to(post, endpoint)
    assert sorted(handed) == sorted(event for own in made for event in own)
    feed = await post.rows("SELECT id FROM events ORDER BY created, seq")
    assert handed == [row["id"] for row in feed]


async def test_second_courier_finds_the_cursor_taken_and_waits_for_nobody(post: Post) -> None:
    await post.endpoint()
    await post.emitted(CAPTURED)
    async with post.database.engine.begin() as first:
        await first.execute(text("SELECT FROM webhook_cursor FOR UPDATE"))
        async with post.database.engine.begin() as second:
            assert await deliveries.hand_out(second) == 0
    await post.handed_out()


async def test_courier_that_dies_before_its_commit_hands_the_same_page_out_again(
    post: Post,
) -> None:
    endpoint = await post.endpoint()
    made = await post.emitted(CAPTURED, count=4)
    with suppress(ZeroDivisionError):
        async with post.database.engine.begin() as connection:
            await deliveries.hand_out(connection)
            raise ZeroDivisionError
    assert await _handed_to(post, endpoint) == []
    await post.handed_out()
    assert await _handed_to(post, endpoint) == made


async def test_pages_follow_each_other(post: Post) -> None:
    endpoint = await post.endpoint()
    made = await post.emitted(CAPTURED, count=deliveries.PAGE + 20)
    await post.handed_out()
    assert await _handed_to(post, endpoint) == made
