"""The commands of on-call people against a running stack: the tour, sagas, tokens, keys, breakers."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

PORTS_OF_A_STACK = 6


@dataclass(frozen=True)
class Told:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Command:
    """The `recompense` command on one data directory."""

    data_dir: Path

    def __call__(self, *arguments: str) -> Told:
        """Run it to its end."""
        program = [sys.executable, "-m", "recompense.ops.cli", *arguments]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("RECOMPENSE_")
        }
        done = subprocess.run(
            [*program, "--data-dir", str(self.data_dir)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str) -> Told:
        """Run it, and it has to succeed."""
        told = self(*arguments)
        assert told.status == 0, (arguments, told)
        return told

    def stack(self) -> Any:
        """The stack's addresses and tokens."""
        return json.loads((self.data_dir / "stack.json").read_text(encoding="utf-8"))


def free_port_base() -> int:
    """The first of six free ports in a row."""
    for base in range(21_000 + os.getpid() % 5_000, 32_000, PORTS_OF_A_STACK):
        with_listener = []
        for port in range(base, base + PORTS_OF_A_STACK):
            with socket.socket() as probe:
                with_listener.append(probe.connect_ex(("127.0.0.1", port)) == 0)
        if not any(with_listener):
            return base
    raise RuntimeError("there are no free ports")


@pytest.fixture(scope="module")
def recompense() -> Iterator[Command]:
    """The command, with a stack that is up."""
    # PostgreSQL may run as a user of its own, who cannot enter pytest's private folders.
    data_dir = Path(tempfile.gettempdir()) / f"recompense-commands-{os.getpid()}"
    command = Command(data_dir)
    try:
        command.good("stack", "up", "--port-base", str(free_port_base()))
        yield command
    finally:
        command("stack", "down")
        shutil.rmtree(data_dir, ignore_errors=True)


def test_tour_is_taken_and_its_failed_saga_is_replayed(recompense: Command) -> None:
    tour = recompense.good("demo")
    assert "7. The books" in tour.out
    assert "difference 0" in tour.out

    failed = recompense.good("sagas", "list", "--state", "failed", "--json").data["data"]
    (capture,) = [row for row in failed if row["kind"] == "capture"]
    workflow_id = capture["workflow_id"]
    assert workflow_id in tour.out
    shown = recompense.good("sagas", "show", workflow_id)
    for words in ("It failed:", "sagas replay", "release: done", capture["ui_url"]):
        assert words in shown.out
    told = recompense.good("sagas", "replay", workflow_id, "--reason", "x", "--dry-run", "--json")
    assert (told.data["action"], told.data["saga"]["state"]) == ("reset", "failed")
    done = recompense.good("sagas", "replay", workflow_id, "--reason", "it is back", "--json")
    assert (done.data["saga"]["state"], done.data["saga"]["attempt"]) == ("done", 2)
    story = recompense.good("sagas", "show", workflow_id, "--json").data
    assert [entry["reason"] for entry in story["audit"]] == ["it is back"]

    not_parked = recompense("sagas", "resolve", workflow_id, "retry", "--reason", "x")
    assert (not_parked.status, not_parked.out) == (1, "")
    assert recompense("sagas", "show", "capture/cap_nobody").status == 2
    recompense.good("ledger", "verify")


def test_minted_token_and_key_open_what_their_scopes_say(recompense: Command) -> None:
    url = f"{recompense.stack()['api_url']}/v1/ops/sagas"

    def status(credential: str) -> int:
        headers = {"Authorization": f"Bearer {credential}"}
        return httpx.get(url, headers=headers, trust_env=False).status_code

    minted = recompense.good("tokens", "mint", "--scopes", "ops:read", "--json").data
    assert set(minted) == {"token", "expires_at"}
    assert status(minted["token"]) == 200
    other = recompense.good("tokens", "mint", "--scopes", "payments:read", "--ttl", "60s").out
    assert status(other.strip()) == 403
    assert recompense("tokens", "mint", "--scopes", "everything").status == 2

    made = recompense.good("keys", "create", "--name", "t", "--scopes", "ops:read", "--json").data
    assert status(made["key"]) == 200
    recompense.good("keys", "revoke", made["id"], "--reason", "a test")
    assert recompense("keys", "revoke", made["id"], "--reason", "again").status == 1


def test_breaker_is_held_open_until_it_is_closed(recompense: Command) -> None:
    def phases() -> set[str]:
        (sandbox,) = recompense.good("providers", "list", "--json").data["data"]
        return set(sandbox["breaker"].values())

    recompense.good("providers", "breaker", "sandbox", "open", "--reason", "they asked")
    assert phases() == {"held_open"}
    recompense.good("providers", "breaker", "sandbox", "close", "--reason", "they are done")
    assert phases() == {"closed"}
    assert recompense("providers", "breaker", "nobody", "open", "--reason", "x").status == 2
    checks = recompense.good("providers", "check", "sandbox", "--json").data["checks"]
    assert all(check["passed"] for check in checks)


def test_stack_that_is_down_is_named_with_its_address(recompense: Command) -> None:
    database = recompense.stack()["database_url"].rpartition("@")[2]
    recompense.good("stack", "down")
    listed = recompense("sagas", "list")
    assert listed.status == 3
    assert "does not answer" in listed.err
    assert database.rpartition(":")[0] in listed.err
    tour = recompense("demo")
    assert tour.status == 3
    assert "recompense stack up" in tour.err
