"""The invariants of a whole stack, seen from outside: its database, and its provider's own log."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
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
        approved = {
            row[0]
            for row in connection.execute(
                "SELECT effect_key FROM journal WHERE outcome_kind = 'approved' AND booked"
            )
        }
        payments = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT id, status, amount_authorized, amount_captured, amount_refunded,"
                " amount_voided FROM payments"
            )
        }
        paid: dict[str, int] = dict(
            connection.execute("SELECT id, amount FROM payouts WHERE status = 'paid'").fetchall()
        )
    assert set(keys) == approved
    for resource in acknowledged:
        payment_id = resource.get("payment_id") or resource["id"]
        assert payment_id in payments or resource["object"] in {"payout", "merchant"}
    made = _made(effects)
    assert made["payout"] == paid
    # What was taken back is at the provider twice, there and back, and in the row not at all.
    failed = {payment_id for payment_id, row in payments.items() if row[0] == "failed"}
    there, back = (_only(made[operation], failed) for operation in ("authorize", "void"))
    assert there == back, (there, back)
    # The rest of a payment that was captured finally is voided without a call.
    voided = {k: row[4] for k, row in payments.items() if row[0] == "voided"}
    assert _without(made["void"], failed) == voided, voided
    held = {k: row[1] for k, row in payments.items() if row[1]}
    assert _without(made["authorize"], failed) == held, held
    assert sum(made["capture"].values()) == sum(row[2] for row in payments.values())
    assert sum(made["refund"].values()) == sum(row[3] for row in payments.values())


def _made(effects: list[dict[str, Any]]) -> defaultdict[str, Counter[str]]:
    """What the provider has made, by operation, for each reference."""
    made: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for effect in effects:
        made[effect["operation"]][effect["reference"]] += effect["amount"]
    return made


def _only(amounts: Counter[str], wanted: Collection[str]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if name in wanted}


def _without(amounts: Counter[str], left_out: Collection[str]) -> dict[str, int]:
    return {name: amount for name, amount in amounts.items() if name not in left_out}
