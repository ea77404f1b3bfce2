"""The watch costs the same on big tables: it reads them through indexes, and little of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from recompense.persistence import watch_sql
from recompense.persistence.watch import PAGE, summary, watches
from tests.support.database import fresh_database
from tests.support.plans import nodes, rows_read
from tests.support.postgres import PostgresServer

QUERIES = {watch.name: watch.query for watch in watches(900)}
QUERIES["a page of all payments"] = watch_sql.ALL_PAYMENTS.replace(
    ":after", "'pay_000050000'"
).replace(":size", str(PAGE))
MOST_ROWS_READ = 20 * watch_sql.WINDOW
ROWS = 100_000
BIG = {
    "journal": """
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
                     call_digest, right_try, outcome_kind, final, booked, recorded_at, calls)
SELECT 'authorize/pay_' || i, 'authorize', 1, 1, 'sandbox', 'pay_' || i, 'key_' || i, '{}', '', 1,
       'approved', true, i % 1000 <> 0, clock_timestamp(), '[]'
FROM generate_series(1, <rows>) AS i""",
    "operations": """
INSERT INTO operations (saga_id, kind, operation_id, payment_id, merchant_id, input, requested_by,
                        attempt, attempt_state, saga_state)
SELECT 'authorize/pay_' || i, 'authorize', 'pay_' || i, 'pay_' || i, 'm', '{}', 'x', 1,
       CASE i % 1000 WHEN 0 THEN 'open' ELSE 'recorded' END,
       CASE i % 1000 WHEN 0 THEN 'running' WHEN 1 THEN 'parked' ELSE 'done' END
FROM generate_series(1, <rows>) AS i""",
    "payouts": """
INSERT INTO payouts (id, merchant_id, amount, currency, status, destination_token, provider,
                     requested_by)
SELECT 'po_' || i, 'm', 1, 'EUR', 'paid', 't', 'sandbox', 'x'
FROM generate_series(1, <rows>) AS i""",
    "orphans": """
INSERT INTO orphans (saga_id, step, attempt, leg, outcome, status)
SELECT 'authorize/pay_' || i, 'authorize', 1, 1, '{}', CASE i % 1000 WHEN 0 THEN 'open'
       ELSE 'undone' END FROM generate_series(1, <rows>) AS i""",
    "provider_events": """
INSERT INTO provider_events (provider, event_id, event_type, payload, status)
SELECT 'sandbox', 'e' || i, 'a', '{}', CASE i % 1000 WHEN 0 THEN 'received' ELSE 'applied' END
FROM generate_series(1, <rows>) AS i""",
    "ledger_postings": """
INSERT INTO ledger_postings (posting_key, operation_id, payment_id, lines, created)
SELECT 'pay_' || i || ':authorize:1', 'pay_' || i, 'pay_' || lpad(CAST(i AS text), 9, '0'), 1,
       CAST(CAST(i AS text) AS xid8)
FROM generate_series(1, <rows>) AS i""",
    "ledger_transfers": """
INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase, created, at)
SELECT id, 1, 'merchant:' || id % 1000 || ':pending', 'merchant:' || id % 1000 || ':available', 1,
       'EUR', 'posted', created, at FROM ledger_postings""",
    "ledger_floored_balances": """
INSERT INTO ledger_floored_balances (account, currency, balance)
SELECT 'merchant:' || i || ':available', 'EUR', 100 FROM generate_series(1, <rows>) AS i""",
    "ledger_snapshots": """
INSERT INTO ledger_snapshots (account, currency, through, last_at, debits_posted, credits_posted,
                              debits_pending, credits_pending)
SELECT 'merchant:' || i % 1000 || ':available', 'EUR',
       CAST(CAST((i / 1000 + 1) * 990 AS text) AS xid8), now(), 0, i / 1000, 0, 0
FROM generate_series(0, <rows> - 1) AS i""",
    "events": """
INSERT INTO events (id, type, data, created, at)
SELECT 'evt_' || i, 'payment.captured', '{}', CAST(CAST(i AS text) AS xid8),
       clock_timestamp() - interval '1 hour' FROM generate_series(1, <rows>) AS i""",
    "webhook_deliveries": """
INSERT INTO webhook_deliveries (endpoint_id, event_id, state, next_attempt_at)
SELECT 'whe_' || i % 10, 'evt_' || i, CASE i % 1000 WHEN 0 THEN 'pending' ELSE 'delivered' END,
       clock_timestamp() - interval '1 hour' FROM generate_series(1, <rows>) AS i""",
    "payments": """
INSERT INTO payments (id, merchant_id, status, amount, currency, capture_method, metadata)
SELECT 'pay_' || lpad(CAST(i AS text), 9, '0'), 'm', 'failed', 10, 'EUR', 'manual', '{}'
FROM generate_series(1, <rows>) AS i""",
}


SEAL = """
INSERT INTO ledger_seals (number, starts, through, postings, last_at, previous, digest, leaves,
                          next_created, observed_at)
SELECT 1, '0', '99500', 1, now(), '', sha256(''), '12345678', '0', now()"""
WEBHOOKS = (
    "UPDATE webhook_cursor SET created = '90000', seq = 0",
    "INSERT INTO webhook_endpoints (id, url, events, secret, created_by)"
    " SELECT 'whe_' || i, 'u', '{*}', 's', 't' FROM generate_series(0, 9) AS i",
)


@pytest.fixture(scope="module")
def big_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Some 100,000 rows in every table that grows, a few of them to be found."""
    with fresh_database(postgres_server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in ("ledger_postings", "ledger_transfers", "ledger_snapshots"):
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
            for statement in BIG.values():
                connection.execute(statement.replace("<rows>", str(ROWS)).encode())
            for statement in (SEAL, *WEBHOOKS):
                connection.execute(statement.encode())
            connection.execute("VACUUM ANALYZE")
        yield url


@pytest.mark.parametrize("name", QUERIES)
def test_watch_reads_little_of_big_tables(big_database: str, name: str) -> None:
    query = summary(QUERIES[name]).replace("\\:", ":")
    with psycopg.connect(big_database) as connection:
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}".encode()).fetchone()
    assert row is not None
    plan = list(nodes(row[0][0]["Plan"]))
    scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    assert not scanned & set(BIG), json.dumps(row[0], indent=1)
    read = sum(rows_read(node) for node in plan if node.get("Relation Name") in BIG)
    assert read <= MOST_ROWS_READ, json.dumps(row[0], indent=1)


def test_big_tables_are_big(big_database: str) -> None:
    with psycopg.connect(big_database) as connection:
        for table in BIG:
            counted = "SELECT count(*) FROM <table>".replace("<table>", table)
            row = connection.execute(counted.encode()).fetchone()
            assert row == (ROWS,), table
