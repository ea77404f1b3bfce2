"""`recompense providers`: what people order is audited, and every worker and the list see it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner, Result

from activities.breakers import Breakers
from adapters.breaker import OperationClass
from adapters.sandbox.policy import POLICIES
from recompense.contracts.provider import ProviderOperation
from recompense.domain.failures import ProviderUnavailable
from recompense.ops.providers import app
from recompense.persistence.database import Database


@pytest.fixture(autouse=True)
def configured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    monkeypatch.setenv("RECOMPENSE_SANDBOX_WEBHOOK_SECRET", "a_test_secret")


def ordered(*command: str) -> Result:
    return CliRunner().invoke(app, list(command))


def rows(database_url: str, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(f"TABLE {table}".encode()).fetchall()


async def may_call(database_url: str) -> bool:
    """Whether a worker that has just started makes a call."""
    database = Database(database_url)
    try:
        async with Breakers(database).guard(
            "sandbox", ProviderOperation.AUTHORIZE, POLICIES.breaker
        ):
            return True
    except ProviderUnavailable:
        return False
    finally:
        await database.close()


def test_order_is_audited_and_stops_workers_until_the_opposite_one(database_url: str) -> None:
    stopped = ordered("breaker", "sandbox", "open", "--reason", "they asked", "--actor", "ann")
    assert stopped.exit_code == 0, stopped.output
    [written] = rows(database_url, "audit_log")
    assert (written["actor"], written["action"]) == ("ann", "breaker_open")
    assert (written["target"], written["reason"]) == ("provider/sandbox", "they asked")
    phases = {row["operation_class"]: row["phase"] for row in rows(database_url, "breakers")}
    assert phases == dict.fromkeys(OperationClass, "held_open")
    assert not asyncio.run(may_call(database_url))
    listed = json.loads(ordered("list", "--json").output)["data"]
    assert set(listed[0]["breaker"].values()) == {"held_open"}
    again = ordered("breaker", "sandbox", "close", "--reason", "they are done")
    assert again.exit_code == 0, again.output
    assert asyncio.run(may_call(database_url))
    assert [row["action"] for row in rows(database_url, "audit_log")] == [
        "breaker_open",
        "breaker_close",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("breaker", "nobody", "open", "--reason", "x"),
        ("breaker", "sandbox", "open"),
        ("breaker", "sandbox", "ajar", "--reason", "x"),
        ("check", "nobody"),
        ("shadow", "nobody"),
    ],
)
def test_order_that_cannot_work_changes_nothing(
    database_url: str, command: tuple[str, ...]
) -> None:
    assert ordered(*command).exit_code == 2
    assert rows(database_url, "audit_log") == []
    assert rows(database_url, "breakers") == []


def test_policies_in_force_are_listed_with_what_settings_replace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes = {"sandbox": {"calls": {"*": {"maximum_attempts": 3}}, "maximum_concurrency": 7}}
    monkeypatch.setenv("RECOMPENSE_POLICY_OVERRIDES", json.dumps(changes))
    [sandbox] = json.loads(ordered("list", "--json").output)["data"]
    assert sandbox["policies"]["maximum_concurrency"] == 7
    assert {call["maximum_attempts"] for call in sandbox["policies"]["calls"].values()} == {3}
    assert "authorize" in ordered("list").output


def test_shadow_without_readings_says_so() -> None:
    shown = ordered("shadow", "sandbox")
    assert shown.exit_code == 0, shown.output
    assert "has no shadow now" in shown.output
