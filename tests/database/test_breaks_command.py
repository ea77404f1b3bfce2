"""`recompense breaks`, on a database with a break in it."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from recompense.ops.cli import app
from recompense.persistence.database import Database
from tests.support.settling import Counter

WRONG_USE, NOT_REACHABLE = 2, 3
REASON = ("--reason", "claimed", "--actor", "finance")


@pytest.fixture
def break_id(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A break of 10.00 EUR that is missing at the provider."""
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:9")

    async def planted() -> str:
        database = Database(database_url, statement_timeout_seconds=10)
        counter = Counter(database_url, database)
        counter.captured(1)
        await counter.compare([])
        await database.close()
        return str(counter.breaks()[0]["id"])

    return asyncio.run(planted())


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["breaks", *arguments])


def test_break_is_listed_and_shown(break_id: str) -> None:
    (listed,) = json.loads(ask("list", "--json").stdout)["data"]
    assert (listed["id"], listed["kind"]) == (break_id, "missing_at_provider")
    assert "10.00 EUR" in ask("list").stdout
    assert json.loads(ask("show", break_id, "--json").stdout) == listed
    assert json.loads(ask("list", "--status", "resolved", "--json").stdout)["data"] == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show", "brk_nobody"), WRONG_USE),
        (("resolve", "brk_nobody", "post", *REASON), WRONG_USE),
        (("list", "--status", "half"), WRONG_USE),
        (("resolve", "BREAK", "post", *REASON), NOT_REACHABLE),
    ],
)
def test_what_cannot_work_is_said_by_the_exit_status(
    break_id: str, arguments: tuple[str, ...], status: int
) -> None:
    found = ask(*(break_id if word == "BREAK" else word for word in arguments))
    assert found.exit_code == status
