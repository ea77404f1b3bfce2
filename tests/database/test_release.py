"""Captures that wait for their settlement are let go when their money has come, also when late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from recompense.persistence import reconciling
from recompense.persistence.database import Database
from tests.support.settling import DAY, Counter, effect_line

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Counter]:
    """With a capture that waits for its settlement."""
    database = Database(database_url, statement_timeout_seconds=10)
    counter = Counter(database_url, database)
    counter.captured(1)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "INSERT INTO captures (id, payment_id, merchant_id, amount, currency, status, final)"
            " VALUES ('cap_1', 'pay_1', 'mer_1', 1000, 'EUR', 'succeeded', true)"
        )
    yield counter
    await database.close()


async def is_released(counter: Counter) -> bool:
    async with counter.database.transaction() as session:
        assert await reconciling.release_settled(session, None, 100) is None
    [capture] = counter.rows("SELECT available_at FROM captures")
    return capture["available_at"] is not None


async def test_capture_is_released_when_it_is_settled(counter: Counter) -> None:
    await counter.compare([])
    assert not await is_released(counter)
    await counter.compare([effect_line(1)], NEXT_DAY)
    assert await is_released(counter)


@pytest.mark.parametrize("given_up", ["post", "write_off"])
@pytest.mark.parametrize(
    ("repaired", "released"), [("post", True), ("write_off", True), ("accept", False)]
)
async def test_capture_that_was_given_up_is_released_when_its_late_line_is_booked(
    counter: Counter, given_up: str, repaired: str, released: bool
) -> None:
    await counter.compare([])
    await counter.repair(given_up)
    assert not await is_released(counter)
    await counter.compare([effect_line(1)], NEXT_DAY)
    assert not await is_released(counter)
    await counter.repair(repaired)
    assert await is_released(counter) is released
