"""`recompense breaks resolve`, with workers that carry the repair."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from typer.testing import CliRunner, Result

from recompense.ops import breaks
from recompense.ops.cli import app
from tests.edge.test_reconciliation import broken
from tests.support.api import Api
from tests.support.sandbox import Sandbox

NOT_IN_ORDER = 1
REASON = ("--reason", "claimed", "--actor", "finance")


@pytest.fixture
def break_id(api: Api, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str:
    """A break of 900.00 EUR that is missing at the provider."""

    async def plain_client(_: Any) -> Client:
        # The workers of this tier do not encrypt.
        return await Client.connect(api.temporal_address, data_converter=pydantic_data_converter)

    monkeypatch.setenv("RECOMPENSE_DATABASE_URL", api.database_url)
    monkeypatch.setattr(breaks, "opened_client", plain_client)
    day = date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)
    return str(broken(api, sandbox, day, "missing", amount=90_000)["id"])


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["breaks", *arguments])


def test_break_is_resolved_once(break_id: str) -> None:
    assert ask("resolve", break_id, "reverse", *REASON).exit_code == NOT_IN_ORDER
    resolved = ask("resolve", break_id, "post", *REASON, "--json")
    assert (resolved.exit_code, json.loads(resolved.stdout)["status"]) == (0, "resolved")
    assert "post by finance" in ask("show", break_id).stdout
    assert ask("resolve", break_id, "post", *REASON).exit_code == NOT_IN_ORDER


def test_large_write_off_waits_for_a_second_person(break_id: str) -> None:
    first = ask("resolve", break_id, "write_off", *REASON)
    assert (first.exit_code, "second person" in first.stdout) == (0, True)
    assert ask("resolve", break_id, "write_off", *REASON).exit_code == NOT_IN_ORDER
    second = ask("resolve", break_id, "write_off", "--reason", "agreed", "--actor", "chief")
    assert second.exit_code == 0
    assert "chief" in ask("show", break_id).stdout
