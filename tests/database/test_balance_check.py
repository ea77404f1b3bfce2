"""The check between two reports: what nobody explains, and what nobody has told us of."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from recompense.persistence import balance_check
from recompense.persistence.balance_check import ASK_AGAIN, check
from tests.support.big_tables import fill
from tests.support.database import fresh_database
from tests.support.plans import nodes, rows_read
from tests.support.postgres import PostgresServer
from tests.support.settling import PROVIDER, Counter, effect_line

UNKNOWN, ASKED = 3_000, 1_500
UNTOLD = f"""
INSERT INTO operations (saga_id, kind, operation_id, payment_id, merchant_id, input, requested_by,
                        attempt, attempt_state, saga_state)
SELECT 'capture/' || i, 'capture', 'cap_' || i, 'pay_' || i, 'm', '{{}}', 'x', 1, 'open', 'running'
FROM generate_series(1, {UNKNOWN}) AS i;
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
                     call_digest, right_try, first_sent_at, calls)
SELECT 'capture/' || i, 'capture', 1, 1, 'sandbox', 'cap_' || i, 'key_' || i, '{{}}', '', 1,
       now() - interval '3 days' + make_interval(secs => i), '[]'
FROM generate_series(1, {UNKNOWN}) AS i;
INSERT INTO provider_events (provider, event_id, event_type, payload, status)
SELECT 'sandbox', 'check-key_' || i || '-' || CAST(now() AS date), 'balance_check', '{{}}',
       'applied'
FROM generate_series(1, {ASKED}) AS i;
"""  # noqa: S608 - constants of this file


@pytest.fixture
def big_url(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        fill(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(UNTOLD.encode())
            connection.execute("VACUUM ANALYZE")
        yield url


async def test_check_finds_what_no_settlement_explains(counter: Counter) -> None:
    counter.captured(1)
    counter.captured(2)
    async with counter.database.transaction() as session:
        assert (await check(session, ["sandbox"])).differences == ()
    await counter.compare([effect_line(1)])
    async with counter.database.transaction() as session:
        assert (await check(session, ["sandbox"])).differences == ()
    counter.effect(3)
    async with counter.database.transaction() as session:
        (found,) = (await check(session, ["sandbox"])).differences
    assert (found.currency, found.in_ledger, found.in_journal) == ("EUR", 1_000, 2_000)


async def test_check_tells_what_a_person_is_asked_about_apart_from_what_nobody_explains(
    counter: Counter,
) -> None:
    counter.captured(1)
    counter.orphan(counter.effect(2, amount=40))
    async with counter.database.transaction() as session:
        found = await check(session, ["sandbox"])
    (asked,) = found.asked_about
    assert (asked.currency, asked.effects, asked.amount) == ("EUR", 1, 40)
    assert found.differences == ()
    counter.effect(3, amount=40)
    async with counter.database.transaction() as session:
        found = await check(session, ["sandbox"])
    (unexplained,) = found.differences
    assert (unexplained.in_ledger, unexplained.in_journal) == (1_000, 1_040)
    assert found.asked_about == (asked,)


@pytest.mark.parametrize("status", ["undone", "adopted"])
async def test_check_forgets_what_a_person_has_decided(counter: Counter, status: str) -> None:
    counter.orphan(counter.effect(1), status=status)
    async with counter.database.transaction() as session:
        found = await check(session, ["sandbox"])
    assert (found.differences, found.asked_about) == ((), ())


async def test_check_still_counts_what_the_provider_says_that_it_took_back(
    counter: Counter,
) -> None:
    counter.orphan(counter.captured(1), outcome="declined")
    async with counter.database.transaction() as session:
        found = await check(session, ["sandbox"])
    assert (found.differences, found.asked_about) == ((), ())


async def test_check_asks_once_a_day_about_what_nobody_told_of(counter: Counter) -> None:
    key = counter.effect(1, outcome=None)
    counter.rows("UPDATE journal SET first_sent_at = now() - interval '2 hours' RETURNING 1")
    for asked in (1, 0):
        async with counter.database.transaction() as session:
            assert (await check(session, ["sandbox"])).asked_again == asked
    (event,) = counter.rows("SELECT * FROM provider_events")
    assert (event["effect_key"], event["status"]) == (key, "received")


async def test_check_asks_about_all_in_turn_however_many_stay_unknown(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance_check, "PAGE", 1)
    keys = [counter.effect(number, outcome=None) for number in range(1, 4)]
    counter.rows("UPDATE journal SET first_sent_at = now() - interval '2 hours' RETURNING 1")
    for asked in (1, 1, 1, 0):
        async with counter.database.transaction() as session:
            assert (await check(session, ["sandbox"])).asked_again == asked
    events = counter.rows("SELECT effect_key FROM provider_events")
    assert {event["effect_key"] for event in events} == set(keys)


def test_check_reads_no_more_of_big_tables_than_what_is_unknown(big_url: str) -> None:
    query = ASK_AGAIN.replace(":provider", f"'{PROVIDER}'").replace(":page", "1000")
    with psycopg.connect(big_url) as connection:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode()).fetchone()
        [[asked]] = connection.execute(
            "SELECT count(*) FROM provider_events WHERE event_type = 'balance_check'"
        )
    assert row is not None
    plan = row[0][0]["Plan"]
    assert asked == ASKED + 1_000
    scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    assert not scanned, json.dumps(plan, indent=1)
    read = sum(rows_read(node) for node in nodes(plan) if node["Node Type"].startswith("Index"))
    assert read <= 4 * UNKNOWN, json.dumps(plan, indent=1)
