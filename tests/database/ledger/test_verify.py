"""Verification finds what a person with all powers over the database has changed."""

import asyncio
import json

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from typer.testing import CliRunner

from recompense.ops.ledger import app
from recompense.persistence.urls import with_driver
from tests.database.ledger.steps import (
    authorized,
    capture,
    make_available,
    payout,
    post,
    seal,
    tamper,
    verified,
)

CORRUPTIONS = {
    "seals": (
        "UPDATE ledger_transfers SET amount = amount + 1, credit = 'suspense:x'"
        " WHERE debit = 'provider:sandbox:clearing' AND amount = 500",
        "posting pay_plain:authorize:1",
    ),
    "seals: a posting's time": (
        "UPDATE ledger_postings SET payment_id = 'pay_other'"
        " WHERE posting_key = 'pay_plain:authorize:1'",
        "posting pay_plain:authorize:1",
    ),
    "seals: a posting added to a sealed block": (
        "INSERT INTO ledger_postings (posting_key, operation_id, lines, created, at)"
        " SELECT 'new:x:1', 'new', 1, created, at FROM ledger_postings ORDER BY id LIMIT 1;"
        "INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase,"
        " created, at) SELECT id, 1, 'bank:b:cash', 'platform:fees', 1, 'EUR', 'posted',"
        " created, at FROM ledger_postings WHERE posting_key = 'new:x:1'",
        "posting new:x:1",
    ),
    "seals: a seal's own digest": (
        "UPDATE ledger_seals SET digest = sha256('x') WHERE number = 1",
        "seal 1",
    ),
    "seals: a missing seal": ("DELETE FROM ledger_seals WHERE number = 1", "seal 2"),
    "postings": (
        "DELETE FROM ledger_transfers WHERE posting_id = (SELECT id FROM ledger_postings"
        " WHERE posting_key = 'pay_plain:authorize:1')",
        "posting pay_plain:authorize:1",
    ),
    "transfers": (
        "UPDATE ledger_transfers SET at = at + interval '1 s' WHERE amount = 500",
        "posting pay_plain:authorize:1 line 1",
    ),
    "order": (
        "UPDATE ledger_postings SET created = '999999999' WHERE payment_id = 'pay_plain';"
        "UPDATE ledger_transfers SET created = '999999999' WHERE amount = 500",
        "posting pay_plain:authorize:1",
    ),
    "holds": (
        "UPDATE ledger_transfers SET currency = 'JPY' WHERE phase = 'pending' AND amount = 100",
        "posting cap_1:capture:1 line 1",
    ),
    "remaining": (
        "UPDATE ledger_holds SET resolved = 0",
        "posting pay_1:authorize:1 line 1",
    ),
    "floors": (
        "UPDATE ledger_floored_balances SET balance = balance + 1",
        "account merchant:mer_1:available EUR",
    ),
    "floors: in transit": (
        "UPDATE ledger_floored_balances SET in_transit = 0",
        "account merchant:mer_1:available EUR",
    ),
    "floors: a missing row": (
        "DELETE FROM ledger_floored_balances",
        "account merchant:mer_1:available EUR",
    ),
    "snapshots": (
        "UPDATE ledger_snapshots SET debits_pending = debits_pending + 1"
        " WHERE account = 'provider:sandbox:clearing'",
        "snapshot of provider:sandbox:clearing EUR",
    ),
    "guards": ("DROP TRIGGER ledger_transfers_no_change ON ledger_transfers", "trigger"),
}


async def _books(engine: AsyncEngine) -> None:
    """Two seals and their snapshots over a plain authorization, a captured payment and a payout."""
    await post(engine, authorized("pay_plain", 500))
    await make_available(engine, 100)
    await seal(engine, snapshot=True)
    await post(engine, payout("po_1", 40))
    await post(engine, authorized("pay_2", 30))
    await capture(engine, "pay_2", 10, capture_id="cap_2")
    await seal(engine)


async def test_ledger_in_order_passes_every_check(engine: AsyncEngine) -> None:
    await _books(engine)
    report = await verified(engine)
    assert report.first_wrong is None
    assert {check.name: check.checked > 0 for check in report.checks} == dict.fromkeys(
        [
            "guards",
            "postings",
            "transfers",
            "order",
            "holds",
            "remaining",
            "floors",
            "snapshots",
            "seals",
            "trial balance",
        ],
        True,
    )


async def test_empty_ledger_is_in_order(engine: AsyncEngine) -> None:
    assert (await verified(engine)).in_order


@pytest.mark.parametrize("planted", CORRUPTIONS)
async def test_planted_corruption_is_found_and_named(engine: AsyncEngine, planted: str) -> None:
    await _books(engine)
    statements, entry = CORRUPTIONS[planted]
    await tamper(engine, *statements.split(";"))
    found = {check.name: check.finding for check in (await verified(engine)).checks}
    finding = found[planted.split(":")[0]]
    assert finding is not None
    assert finding.entry.startswith(entry)


def _with_books(url: str, *statements: str) -> None:
    async def run() -> None:
        engine = create_async_engine(with_driver(url))
        await _books(engine)
        if statements:
            await tamper(engine, *statements)
        await engine.dispose()

    asyncio.run(run())


@pytest.fixture
def stack_of(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command's settings name this test's database."""
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    return database_url


def test_command_on_a_ledger_in_order_exits_0(stack_of: str) -> None:
    _with_books(stack_of)
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 0, result.output
    assert "The ledger is in order." in result.output
    assert "seals\t" in result.output


def test_command_on_a_corrupt_ledger_exits_1_and_names_the_entry(stack_of: str) -> None:
    _with_books(stack_of, CORRUPTIONS["seals"][0])
    plain = CliRunner().invoke(app, ["verify"])
    assert plain.exit_code == 1
    assert "Wrong: posting pay_plain:authorize:1" in plain.output
    as_json = CliRunner().invoke(app, ["verify", "--json"])
    assert as_json.exit_code == 1
    report = json.loads(as_json.output)
    assert report["in_order"] is False
    assert report["first_wrong"]["finding"]["entry"].startswith("posting pay_plain:authorize:1")


def test_command_without_a_database_exits_3_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "postgresql://someone:secret@127.0.0.1:1/nowhere"
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", address)
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 3
    assert "127.0.0.1:1" in result.output
    assert "secret" not in result.output


def test_balance_command_reads_the_past(stack_of: str) -> None:
    _with_books(stack_of)
    account = "provider:sandbox:clearing"
    now = CliRunner().invoke(app, ["balance", account, "--json"])
    assert json.loads(now.output)["data"][0]["debits_posted"] == 110
    before = CliRunner().invoke(app, ["balance", account, "--at", "2020-01-01T00:00:00Z", "--json"])
    assert json.loads(before.output) == {"data": []}
    plain = CliRunner().invoke(app, ["balance", account])
    assert "1.10 EUR" in plain.output


@pytest.mark.parametrize("arguments", [["nobody:x"], ["bank:main:cash", "--at", "yesterday"]])
def test_balance_command_used_wrongly_exits_2(stack_of: str, arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["balance", *arguments]).exit_code == 2


def test_trial_balance_command_shows_no_difference(stack_of: str) -> None:
    _with_books(stack_of)
    result = CliRunner().invoke(app, ["trial-balance"])
    assert result.exit_code == 0
    assert result.output.splitlines()[1].split("\t")[-1] == "0.00 EUR"
