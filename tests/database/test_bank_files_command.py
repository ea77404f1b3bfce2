"""`recompense bank-files` on a database with a batch that was sent, and files that came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recompense.ops.cli import app
from tests.support.bank import Bank
from tests.support.bank_files import OUR_IBAN
from tests.support.bank_rail import Rail, bank_rail


@pytest.fixture
async def rail(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rail]:
    """A rail on the database that the command speaks to."""
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    monkeypatch.setenv("RECOMPENSE_SANDBOX_WEBHOOK_SECRET", "a_test_secret")
    async with bank_rail(database_url, Bank(tmp_path)) as made:
        yield made


async def _command(*arguments: str) -> tuple[int, str]:
    # The command runs a loop of its own.
    done = await asyncio.to_thread(CliRunner().invoke, app, ["bank-files", *arguments])
    return done.exit_code, done.output


async def _told(*arguments: str) -> Any:
    status, output = await _command(*arguments, "--json")
    assert status == 0, output
    return json.loads(output)


async def sent(rail: Rail, *amounts: int) -> str:
    """A batch that is at the bank; its id."""
    for amount in amounts:
        await rail.collected(amount)
    batch_id = (await rail.closed()).batch_id
    assert batch_id is not None
    await rail.submitted(batch_id)
    return batch_id


async def test_sent_batch_and_the_banks_word_on_it_are_shown(rail: Rail) -> None:
    batch_id = await sent(rail, 1_000, 250)
    [first, second] = rail.bank.take()
    rail.bank.reports(first.message_id, (second.end_to_end_id, "RJCT", "AC04"))
    await rail.files_read()
    came, went = (await _told("list"))["data"]
    assert (went["id"], went["direction"], went["status"]) == (batch_id, "out", "sent")
    assert (went["items"], went["total"], went["currency"]) == (2, 1_250, "EUR")
    assert (came["direction"], came["status"], came["detail"]) == ("in", "read", "told 1")
    for name in (batch_id, went["name"], went["reference"]):
        shown = await _told("show", name)
        assert [one["amount"] for one in shown["payouts"]] == [1_000, 250]
        assert shown["payouts"][1]["reference"] == second.end_to_end_id
    for name in (came["id"], came["id"][:12].upper()):
        shown = await _told("show", name)
        assert [one["type"] for one in shown["events"]] == ["bank.rejected"]
    status, plain = await _command("list", "--status", "sent")
    assert status == 0
    assert [line.split("\t")[0] for line in plain.splitlines()] == ["file", batch_id]
    assert (await _told("list", "--provider", "another"))["data"] == []


async def test_refused_file_is_shown_with_its_reason_and_no_account_number(rail: Rail) -> None:
    rail.bank.leave(b"<Document/>", f"camt053-{OUR_IBAN}.xml")
    await rail.files_read()
    [came] = (await _told("list", "--status", "refused"))["data"]
    status, plain = await _command("show", came["id"])
    assert status == 0
    assert came["detail"] in plain
    shown = json.dumps(await _told("show", came["id"])) + plain
    assert OUR_IBAN not in shown
    assert f"camt053-DE...{OUR_IBAN[-4:]}.xml" in shown


@pytest.mark.parametrize("limit", ["0", "ten"])
async def test_what_is_not_there_or_makes_no_sense_is_wrong_use(rail: Rail, limit: str) -> None:
    status, output = await _command("show", "sepa/nothing")
    assert (status, "There is no file sepa/nothing." in output) == (2, True)
    assert (await _command("list", "--limit", limit))[0] == 2


async def test_beginning_of_several_hashes_names_none(rail: Rail) -> None:
    for number in range(2):
        rail.bank.leave(b"<Document/>" + b" " * number)
    await rail.files_read()
    status, output = await _command("show", "")
    assert (status, "Several files" in output) == (2, True)
