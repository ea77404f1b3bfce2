"""The benchmarks' tables are filled with copies that the ledger and the constraints accept."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks import filling
from recompense.ledger import templates
from tests.database.ledger.steps import post, seal, verified

PAYMENT = "pay_01JD0000000000000000000000"
COPIES = 30
MERCHANT = """
INSERT INTO merchants (id, name, country, payout, fees, availability_rule, availability_days,
                       created_by)
VALUES ('mer_demo', 'Demo', 'DE', '{}', '{}', 'on_capture', 0, 'test')
"""
ROWS = """
INSERT INTO payments (id, merchant_id, status, amount, currency, capture_method, metadata)
VALUES (%(id)s, 'mer_demo', 'authorized', 500, 'EUR', 'manual', '{}');
INSERT INTO events (id, type, merchant_id, payment_id, data)
VALUES ('evt_1', 'payment.authorized', 'mer_demo', %(id)s, jsonb_build_object('id', %(id)s::text));
INSERT INTO idempotency_claims (id, caller, method, path, key, fingerprint, resource_id, holder)
VALUES (sha256('1'), 'stack', 'POST', '/v1/payments', 'k', '\\x00', %(id)s, gen_random_uuid());
"""


@pytest.fixture
async def payment(engine: AsyncEngine, database_url: str) -> str:
    hold = templates.authorized(
        f"{PAYMENT}:authorize:1",
        payment_id=PAYMENT,
        provider="sandbox",
        merchant_id="mer_demo",
        amount=500,
        currency="EUR",
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(MERCHANT)
        # The simple protocol takes several statements, and no parameters apart from them.
        psycopg.ClientCursor(connection).execute(ROWS, {"id": PAYMENT})
    await post(engine, hold)
    return PAYMENT


def filled(database_url: str, payment_id: str, *ranges: tuple[int, int]) -> list[int]:
    heard: list[int] = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        statements = filling.insertions(connection, payment_id)
        filling.fill_merchants(connection, 5)
        for first, last in ranges:
            filling.fill_payments(connection, statements, first, last, heard.append)
    return heard


def one(database_url: str, query: str) -> Any:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(query).fetchone()
    assert found is not None
    return found[0]


async def test_filled_ledger_is_in_order(
    engine: AsyncEngine, database_url: str, payment: str
) -> None:
    filled(database_url, payment, (1, COPIES))
    await seal(engine, snapshot=True)
    report = await verified(engine)
    assert report.in_order, report.first_wrong
    with psycopg.connect(database_url) as connection:
        assert filling.is_at_rest(connection)


@pytest.mark.parametrize(
    "table", ["payments", "events", "idempotency_claims", "ledger_postings", "ledger_transfers"]
)
def test_every_row_of_the_payment_is_copied(database_url: str, payment: str, table: str) -> None:
    filled(database_url, payment, (1, 10), (11, COPIES))
    assert one(database_url, f"SELECT count(*) FROM {table}") == COPIES + 1  # noqa: S608 - named here


def test_half_of_the_copies_are_the_hot_merchants(database_url: str, payment: str) -> None:
    filled(database_url, payment, (1, COPIES))
    hot = one(database_url, "SELECT count(*) FROM payments WHERE merchant_id = 'mer_demo'")
    assert hot == COPIES // 2 + 1
    others = one(database_url, "SELECT count(DISTINCT merchant_id) FROM payments") - 1
    assert others == COPIES // 2
    named = "SELECT count(*) FROM events WHERE data ->> 'id' = payment_id"
    assert one(database_url, named) == COPIES + 1


async def test_ledger_that_waits_for_a_seal_or_for_snapshots_is_seen(
    engine: AsyncEngine, database_url: str, payment: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert not filling.is_at_rest(connection)
        await seal(engine)
        assert not filling.is_at_rest(connection)


def test_filling_tells_how_far_it_is(
    database_url: str, payment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "CHUNK", 4)
    assert filled(database_url, payment, (1, 10)) == [4, 8, 10]
