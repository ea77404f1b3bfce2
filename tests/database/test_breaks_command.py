"""`recompense breaks`, on a database with a break in it."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from recompense.ops.cli import app
from recompense.persistence.database import Database
from tests.support.settling import Counter

NOT_IN_ORDER, WRONG_USE = 1, 2
REASON = ("--reason", "claimed", "--actor", "finance")


@pytest.fixture
def break_id(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A break of 10.00 EUR that is missing at the provider."""
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    monkeypatch.setenv("RECOMPENSE_WRITE_OFF_APPROVAL_ABOVE", "999")

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


def test_break_is_listed_shown_and_resolved(break_id: str) -> None:
    (listed,) = json.loads(ask("list", "--json").stdout)["data"]
    assert (listed["id"], listed["kind"]) == (break_id, "missing_at_provider")
    assert "10.00 EUR" in ask("list").stdout
    assert json.loads(ask("show", break_id, "--json").stdout) == listed
    resolved = ask("resolve", break_id, "post", *REASON, "--json")
    assert (resolved.exit_code, json.loads(resolved.stdout)["status"]) == (0, "resolved")
    assert json.loads(ask("list", "--json").stdout)["data"] == []
    assert "post by finance" in ask("show", break_id).stdout
    assert ask("resolve", break_id, "post", *REASON).exit_code == NOT_IN_ORDER


def test_large_write_off_waits_for_a_second_person(break_id: str) -> None:
    first = ask("resolve", break_id, "write_off", *REASON)
    assert (first.exit_code, "second person" in first.stdout) == (0, True)
    assert ask("resolve", break_id, "write_off", *REASON).exit_code == NOT_IN_ORDER
    second = ask("resolve", break_id, "write_off", "--reason", "agreed", "--actor", "chief")
    assert second.exit_code == 0
    assert "chief" in ask("show", break_id).stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show", "brk_nobody"), WRONG_USE),
        (("resolve", "brk_nobody", "post", *REASON), WRONG_USE),
        (("list", "--status", "half"), WRONG_USE),
        (("resolve", "BREAK", "reverse", *REASON), NOT_IN_ORDER),
    ],
)
def test_what_cannot_work_is_said_by_the_exit_status(
    break_id: str, arguments: tuple[str, ...], status: int
) -> None:
    found = ask(*(break_id if word == "BREAK" else word for word in arguments))
    assert found.exit_code == status
