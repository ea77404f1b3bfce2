"""Tables with so many rows that the planner has something to choose."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

ROWS = 20_000
"""A look-up by an index costs the planner's 8 here, and a scan 500 and more."""


@dataclass(frozen=True)
class Big:
    """How a table is filled, and which of its rows were not filled in but written by a test."""

    columns: str
    values: str
    written: str


def _ours(column: str) -> str:
    return f"NOT starts_with({column}, 'zz')"


BIG: dict[str, Big] = {
    "merchants": Big(
        "id, name, country, payout, fees, availability_rule, availability_days, created_by",
        "'zz' || i, 'Shop', 'DE', '{}', '{}', 'on_capture', 0, 'x'",
        _ours("id"),
    ),
    "payments": Big(
        "id, merchant_id, status, amount, currency, capture_method, reference, metadata,"
        " amount_held, amount_authorized, authorization_expires_at",
        "'zz' || i, 'zz' || i % 1000, 'authorized', 10, 'EUR', 'manual', 'order-' || i, '{}',"
        " 10, 10, now() + interval '7 days'",
        _ours("id"),
    ),
    "captures": Big(
        "id, payment_id, merchant_id, amount, currency, status, final, made_available",
        "'zz' || i, 'zz' || i, 'zz' || i % 1000, 1, 'EUR', 'succeeded', false, true",
        _ours("id"),
    ),
    "reserve_tranches": Big(
        "capture_id, payment_id, merchant_id, amount, currency, release_at",
        "'zz' || i, 'zz' || i, 'zz' || i % 1000, 1, 'EUR', now() + interval '90 days'",
        _ours("capture_id"),
    ),
    "voids": Big(
        "payment_id, number, merchant_id, amount, currency, status, cause",
        "'zz' || i, 1, 'zz' || i % 1000, 1, 'EUR', 'failed', 'request'",
        _ours("payment_id"),
    ),
    "refunds": Big(
        "id, payment_id, merchant_id, amount, currency, status",
        "'zz' || i, 'zz' || i, 'zz' || i % 1000, 1, 'EUR', 'failed'",
        _ours("id"),
    ),
    "payouts": Big(
        "id, merchant_id, amount, currency, status, destination_token, provider, reference,"
        " requested_by",
        "'zz' || i, 'zz' || i % 1000, 1, 'EUR', 'paid', 't', 'sandbox', 'pay-' || i, 'x'",
        _ours("id"),
    ),
    "operations": Big(
        "saga_id, kind, operation_id, payment_id, merchant_id, input, requested_by, attempt,"
        " attempt_state, saga_state",
        "'zz' || i, 'authorize', 'zz' || i, 'zz' || i, 'zz' || i % 1000, '{}', 'x', 1,"
        " 'recorded', 'done'",
        _ours("saga_id"),
    ),
    "attempts": Big("saga_id, number, opened_by_run", "'zz' || i, 1, 'run'", _ours("saga_id")),
    "operation_runs": Big(
        "saga_id, run_id, workflow_id, attempt", "'zz' || i, 'run', 'zz' || i, 1", _ours("saga_id")
    ),
    "journal": Big(
        "saga_id, step, attempt, leg, provider, operation_id, effect_key, call, call_digest,"
        " right_try, outcome_kind, final, booked, calls",
        "'zz' || i, 'authorize', 1, 1, 'sandbox', 'zz' || i, 'zz' || i, '{}', '', 1, 'approved',"
        " true, true, '[]'",
        _ours("saga_id"),
    ),
    "orphans": Big(
        "saga_id, step, attempt, leg, outcome, status",
        "'zz' || i, 'authorize', 1, 1, '{}', 'undone'",
        _ours("saga_id"),
    ),
    "provider_events": Big(
        "provider, event_id, event_type, payload, status",
        "'sandbox', 'zz' || i, 'a', '{}', 'applied'",
        _ours("event_id"),
    ),
    "events": Big(
        "id, type, merchant_id, payment_id, data",
        "'zz' || i, 'payment.authorized', 'zz' || i % 1000, 'zz' || i, '{}'",
        _ours("id"),
    ),
    "audit_log": Big(
        "actor, action, target, details", "'x', 'resolve', 'zz' || i, '{}'", _ours("target")
    ),
    "ledger_postings": Big(
        "posting_key, operation_id, payment_id, lines", "'zz' || i, 'zz' || i, 'zz' || i, 1",
        _ours("posting_key"),
    ),
    "ledger_transfers": Big(
        "posting_id, line, debit, credit, amount, currency, phase, created, at",
        "i, 1, 'provider:sandbox:clearing', 'merchant:zz' || i % 1000 || ':pending', 1, 'EUR',"
        " 'pending', '1', now()",
        f"posting_id > {ROWS}",
    ),
    "ledger_holds": Big("posting_id, line, amount, resolved", "i, 1, 1, 1", f"posting_id > {ROWS}"),
    "ledger_floored_balances": Big(
        "account, currency, balance", "'merchant:zz' || i || ':available', 'EUR', 1",
        "NOT starts_with(account, 'merchant:zz')",
    ),
    "idempotency_claims": Big(
        "id, caller, method, path, key, fingerprint, resource_id, holder",
        "sha256(CAST('zz' || i AS bytea)), 'x', 'POST', '/', 'zz' || i, sha256(''), 'zz' || i,"
        " gen_random_uuid()",
        _ours("key"),
    ),
}  # fmt: skip
TRIGGERS = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE NOT tgisinternal
    AND tgrelid::regclass::text IN ('ledger_postings', 'ledger_transfers', 'reserve_tranches')
"""


def fill(url: str) -> None:
    """Fill every table that grows. The ledger's rows can be deleted from then on."""
    with psycopg.connect(url, autocommit=True) as connection:
        triggers = connection.execute(TRIGGERS).fetchall()
        for table, name in triggers:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {name}".encode())
        connection.execute("SET session_replication_role = replica")
        for table, big in BIG.items():
            statement = f"""
                INSERT INTO {table} ({big.columns})
                SELECT {big.values} FROM generate_series(1, {ROWS}) AS i"""  # noqa: S608
            connection.execute(statement.encode())
        for table, name in triggers:
            if not name.endswith("_no_change"):
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}".encode())
        connection.execute("VACUUM ANALYZE")


def forget_what_was_written(url: str) -> None:
    """Delete all that is not of the filling."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "ALTER TABLE reserve_tranches DISABLE TRIGGER reserve_tranches_no_change"
        )
        for table, big in BIG.items():
            connection.execute(f"DELETE FROM {table} WHERE {big.written}".encode())  # noqa: S608
