"""The invariants of a whole stack, seen from outside: its database, and its provider's own log."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

import httpx
import psycopg

from recompense.persistence.database import Database
from recompense.persistence.verify import verify
from tests.support.census import count
from tests.support.stack import TestStack


async def quiet(stack: TestStack, *, ends: Collection[str] = ("done",)) -> None:
    """Wait until no saga is under way. Each has ended as `ends` says: none may need a person."""
    for _ in range(300):
        with psycopg.connect(stack.file()["database_url"]) as connection:
            states: dict[str, int] = dict(
                connection.execute(
                    "SELECT saga_state, count(*) FROM operations GROUP BY saga_state"
                ).fetchall()
            )
        if not states.get("running") and not states.get("compensating"):
            break
        await asyncio.sleep(0.2)
    assert set(states) <= set(ends), states


def effects_of(stack: TestStack) -> list[dict[str, Any]]:
    """All effects in the provider's own log."""
    with httpx.Client(base_url=stack.file()["sandbox_url"], trust_env=False) as http:
        found: list[dict[str, Any]] = http.get("/_control/effects").json()["data"]
        return found


async def assert_nothing_lost_or_doubled(
    stack: TestStack, acknowledged: Iterable[dict[str, Any]]
) -> None:
    """Assert that rows, ledger and the provider's own log agree, and that what callers were told is
    there.
    """
    _assert_rows_agree(stack, acknowledged)
    database = Database(stack.file()["database_url"])
    async with database.engine.connect() as connection:
        report = await verify(connection)
    await database.close()
    assert report.in_order, report.first_wrong
    count("invariants checked", "stack: ledger, rows and provider agree")


def _assert_rows_agree(stack: TestStack, acknowledged: Iterable[dict[str, Any]]) -> None:
    effects = effects_of(stack)
    keys = Counter(effect["effect_key"] for effect in effects)
    assert [key for key, count in keys.items() if count > 1] == []
    with psycopg.connect(stack.file()["database_url"]) as connection:
        voided = connection.execute(
            "SELECT coalesce(sum(amount_voided), 0) FROM payments"
            # The rest of a payment that was captured finally is voided without a call.
            " WHERE status IN ('voided', 'failed')"
        ).fetchone()
        paid = connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM payouts WHERE status = 'paid'"
        ).fetchone()
        approved = {
            row[0]
            for row in connection.execute(
                "SELECT effect_key FROM journal WHERE outcome_kind = 'approved' AND booked"
            )
        }
        payments = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT id, amount_authorized, amount_captured, amount_refunded FROM payments"
            )
        }
    assert set(keys) == approved
    for resource in acknowledged:
        payment_id = resource.get("payment_id") or resource["id"]
        assert payment_id in payments or resource["object"] in {"payout", "merchant"}
    made: Counter[tuple[str, str]] = Counter()
    for effect in effects:
        made[effect["operation"], effect["currency"]] += effect["amount"]
    authorized = {e["reference"]: e["amount"] for e in effects if e["operation"] == "authorize"}
    held = {payment_id: row[0] for payment_id, row in payments.items() if row[0]}
    differences = authorized.items() ^ held.items()
    assert not differences, differences
    assert made["capture", "EUR"] == sum(row[1] for row in payments.values())
    assert paid is not None
    assert voided is not None
    assert made["void", "EUR"] == voided[0]
    assert made["payout", "EUR"] == paid[0]
    assert made["refund", "EUR"] == sum(row[2] for row in payments.values())
