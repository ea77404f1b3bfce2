"""`recompense webhooks` on a database with endpoints and deliveries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from recompense.ops.cli import app
from recompense.webhooks.sending import Outcome, Result
from tests.support.couriers import Post, open_post


@pytest.fixture
async def post(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Post]:
    """A courier on the database that the command speaks to."""
    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", database_url)
    async with open_post(database_url) as post:
        yield post


async def _command(*arguments: str) -> tuple[int, str]:
    # The command runs a loop of its own.
    done = await asyncio.to_thread(CliRunner().invoke, app, ["webhooks", *arguments])
    return done.exit_code, done.output


async def _told(*arguments: str) -> Any:
    status, output = await _command(*arguments, "--json")
    assert status == 0, output
    return json.loads(output)


async def test_endpoints_are_listed_without_their_secrets(post: Post) -> None:
    first = await post.endpoint(merchant_id="mer_1")
    second = await post.endpoint(events=["payout.paid"])
    told = await _told("list")
    assert [one["id"] for one in told["data"]] == [second, first]
    assert "secret" not in json.dumps(told)
    of_one = await _told("list", "--merchant", "mer_1")
    assert [one["id"] for one in of_one["data"]] == [first]
    status, plain = await _command("list")
    assert (status, plain.splitlines()[1].split("\t")[:3]) == (0, [second, "all", "enabled"])


async def test_endpoint_is_shown_with_its_deliveries_and_delivered_to_again(post: Post) -> None:
    endpoint = await post.endpoint("https://shop.example/")
    post.sender.results["https://shop.example/"] = [
        Result(Outcome.REJECTED, 500),
        Result(Outcome.DELIVERED, 200),
    ]
    (event,) = await post.emitted("payment.captured")
    await post.turn()
    told = await _told("show", endpoint)
    (delivery,) = told["deliveries"]
    assert (delivery["event_id"], delivery["state"], delivery["last_status"]) == (
        event,
        "pending",
        500,
    )
    assert told["failing_since"]
    again = await _told("redeliver", event)
    assert [one["endpoint_id"] for one in again["data"]] == [endpoint]
    await post.turn()
    status, plain = await _command("show", endpoint)
    assert status == 0
    assert f"{event}\tpayment.captured\tdelivered\t1\tdelivered 200\t-" in plain
    (audited,) = await post.rows("SELECT actor FROM audit_log WHERE action = 'event_redeliver'")
    assert audited["actor"].startswith("cli:")


async def test_unknown_ones_are_told_apart(post: Post) -> None:
    for arguments in (("show", "whe_nothing"), ("redeliver", "evt_nothing")):
        status, output = await _command(*arguments)
        assert status == 1
        assert arguments[1] in output
    (event,) = await post.emitted("payment.captured")
    status, output = await _command("redeliver", event)
    assert (status, output.strip()) == (0, f"No enabled endpoint takes {event}.")
