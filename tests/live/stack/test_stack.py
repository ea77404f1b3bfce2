"""The embedded stack: up, killed part by part, down and up again, two side by side."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from recompense.stack.files import Secrets, StackPaths
from tests.support.stack import TestStack, eventually, stack_of_its_own


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    """A stack that is up; every test leaves it so."""
    with stack_of_its_own() as stack:
        stack.up()
        yield stack


def pay(stack: TestStack) -> dict[str, Any]:
    """Authorize a payment through the API."""
    found = stack.file()
    answer = httpx.post(
        f"{found['api_url']}/v1/payments",
        json={
            "merchant_id": "mer_demo",
            "amount": 4_200,
            "currency": "EUR",
            "payment_method": {"type": "card_token", "token": "tok_ok"},
            "capture_method": "manual",
        },
        headers={
            "Authorization": f"Bearer {found['tokens']['backend']}",
            "Idempotency-Key": uuid4().hex,
        },
        timeout=40,
    )
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    return payment


def read_payment(stack: TestStack, payment_id: str) -> dict[str, Any]:
    found = stack.file()
    answer = httpx.get(
        f"{found['api_url']}/v1/payments/{payment_id}",
        headers={"Authorization": f"Bearer {found['tokens']['backend']}"},
        timeout=40,
    )
    payment: dict[str, Any] = answer.raise_for_status().json()
    return payment


def pids(stack: TestStack, part: str) -> list[int]:
    found = stack.file()["pids"][part]
    return found if isinstance(found, list) else [found]


def in_order(stack: TestStack) -> bool:
    return stack.run("status").returncode == 0


def test_stack_json_has_exactly_what_the_contract_names(stack: TestStack) -> None:
    found = stack.file()
    assert set(found) == {
        "api_url",
        "sandbox_url",
        "codec_url",
        "database_url",
        "temporal",
        "tokens",
        "pids",
        "logs",
    }
    assert set(found["temporal"]) == {"address", "namespace", "ui_url"}
    assert set(found["tokens"]) == {"backend", "finance", "ops", "admin"}
    assert set(found["pids"]) == {"postgres", "temporal", "sandbox", "codec", "api", "workers"}
    assert len(found["pids"]["workers"]) == 2
    assert Path(found["logs"]) == stack.data_dir / "logs"


def test_each_part_has_its_port_in_the_order_of_the_contract(stack: TestStack) -> None:
    found, base = stack.file(), stack.port_base
    assert found["api_url"].endswith(f":{base}")
    assert found["sandbox_url"].endswith(f":{base + 1}")
    assert found["codec_url"].endswith(f":{base + 2}")
    assert f":{base + 3}/" in found["database_url"]
    assert found["temporal"]["address"].endswith(f":{base + 4}")
    assert found["temporal"]["ui_url"].endswith(f":{base + 5}")


def test_every_part_answers(stack: TestStack) -> None:
    found = stack.file()
    for url in (
        f"{found['api_url']}/readyz",
        f"{found['sandbox_url']}/healthz",
        f"{found['codec_url']}/healthz",
        found["temporal"]["ui_url"],
    ):
        assert httpx.get(url, follow_redirects=True, timeout=10).is_success, url
    assert stack.status()["in_order"] is True


def test_the_demo_merchant_can_be_paid(stack: TestStack) -> None:
    assert pay(stack)["status"] == "authorized"


def test_the_application_cannot_change_the_ledger(stack: TestStack) -> None:
    pay(stack)
    with psycopg.connect(stack.file()["database_url"], autocommit=True) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM ledger_postings").fetchone() == (True,)
        for statement in (
            "UPDATE ledger_postings SET lines = lines",
            "DELETE FROM ledger_transfers",
            "TRUNCATE ledger_transfers",
            "CREATE TABLE mine (id int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_what_was_acknowledged_is_synced_to_disk(stack: TestStack) -> None:
    with psycopg.connect(stack.file()["database_url"]) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_secrets_are_readable_by_their_owner_only(stack: TestStack) -> None:
    for name in ("secrets.json", "stack.json", "state.json"):
        assert stat.S_IMODE((stack.data_dir / name).stat().st_mode) == 0o600, name


@pytest.mark.parametrize("part", ["sandbox", "codec", "api", "workers", "temporal", "postgres"])
def test_a_killed_part_is_started_again_and_stack_json_says_so(stack: TestStack, part: str) -> None:
    before = pids(stack, part)
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: before[0] not in pids(stack, part), f"{part} has a new pid")
    eventually(lambda: in_order(stack), f"every part answers after {part} died")
    assert psutil.pid_exists(pids(stack, part)[0])
    assert pids(stack, part)[1:] == before[1:]
    assert pay(stack)["status"] == "authorized"


def test_a_restarted_part_gets_a_new_process_and_the_others_keep_theirs(stack: TestStack) -> None:
    before = stack.file()["pids"]
    done = stack.run("restart", "worker-2")
    assert done.returncode == 0, done.stderr
    after = stack.file()["pids"]
    assert after["workers"][1] != before["workers"][1]
    assert {**after, "workers": after["workers"][:1]} == {
        **before,
        "workers": before["workers"][:1],
    }
    assert pay(stack)["status"] == "authorized"


def test_an_unknown_part_is_wrong_use_and_the_known_ones_are_named(stack: TestStack) -> None:
    for command in ("restart", "logs"):
        done = stack.run(command, "nothing")
        assert done.returncode == 2
        assert "postgres" in done.stderr


def test_a_second_up_leaves_the_running_stack_alone(stack: TestStack) -> None:
    before = stack.file()
    assert stack.up() == before


def test_a_second_stack_on_the_same_ports_is_told_which_setting_moves_them(
    stack: TestStack, tmp_path: Path
) -> None:
    other = TestStack(tmp_path / "other", stack.port_base)
    done = other.run("up", "--port-base", str(stack.port_base))
    assert done.returncode == 2
    assert str(stack.port_base) in done.stderr
    assert "RECOMPENSE_API_PORT" in done.stderr
    assert in_order(stack)


def test_a_second_stack_runs_beside_the_first(stack: TestStack) -> None:
    with stack_of_its_own() as other:
        other.up("--without", "api", "--without", "workers")
        assert in_order(other)
        assert in_order(stack)
        assert other.file()["database_url"] != stack.file()["database_url"]


def test_named_servers_are_used_and_not_started(stack: TestStack) -> None:
    theirs = stack.file()
    secrets = Secrets.read(StackPaths(stack.data_dir).secrets)
    assert secrets is not None
    settings = {
        "RECOMPENSE_DATABASE_URL": theirs["database_url"],
        "RECOMPENSE_MIGRATION_DATABASE_URL": secrets.owner_url(theirs["database_url"]),
        "TEMPORAL_ADDRESS": theirs["temporal"]["address"],
    }
    with stack_of_its_own(settings) as other:
        found = other.up("--without", "workers")
        assert (found["pids"]["postgres"], found["pids"]["temporal"]) == (None, None)
        assert found["database_url"] == theirs["database_url"]
        assert found["temporal"]["address"] == theirs["temporal"]["address"]
        assert not (other.data_dir / "postgres").exists()
    assert in_order(stack)


def test_state_survives_down_and_up(stack: TestStack) -> None:
    payment = pay(stack)
    before = stack.file()
    running = [
        psutil.Process(pid)
        for found in before["pids"].values()
        for pid in (found if isinstance(found, list) else [found])
    ]
    assert stack.run("down").returncode == 0
    assert [process for process in running if process.is_running()] == []
    assert not (stack.data_dir / "stack.json").exists()
    assert stack.run("status").returncode == 3

    after = stack.up()
    assert read_payment(stack, payment["id"])["status"] == "authorized"
    assert after["database_url"] == before["database_url"]
    assert subjects(stack, after) == subjects(stack, before)
    assert pay(stack)["status"] == "authorized"


def subjects(stack: TestStack, found: dict[str, Any]) -> dict[str, str]:
    secrets = Secrets.read(StackPaths(stack.data_dir).secrets)
    assert secrets is not None
    key = OctKey.import_key(secrets.jwt_secret)
    return {
        role: jwt.decode(token, key, algorithms=["HS256"]).claims["sub"]
        for role, token in found["tokens"].items()
    }


def test_a_killed_supervisor_leaves_nothing_that_stops_the_next_up(stack: TestStack) -> None:
    supervisor = json.loads((stack.data_dir / "state.json").read_text())["supervisor"]["pid"]
    before = pids(stack, "postgres")
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: stack.run("status").returncode == 3, "the supervisor is gone")
    stack.up()
    assert pids(stack, "postgres") != before
    assert pay(stack)["status"] == "authorized"


def test_a_part_that_may_not_be_restarted_stays_dead_and_is_named() -> None:
    with stack_of_its_own() as stack:
        stack.up("--no-restart", "--without", "api", "--without", "workers")
        os.kill(pids(stack, "codec")[0], signal.SIGKILL)
        eventually(lambda: not in_order(stack), "the codec server is missed")
        done = stack.run("status")
        assert done.returncode == 3
        assert stack.file()["codec_url"] in done.stderr


def test_a_part_that_cannot_start_ends_the_whole_and_shows_its_log() -> None:
    settings = {"RECOMPENSE_POSTGRES_SETTINGS": '{"no_such_setting": "1"}'}
    with stack_of_its_own(settings) as stack:
        done = stack.run("up", "--port-base", str(stack.port_base))
        assert done.returncode == 3
        assert "PostgreSQL" in done.stderr
        assert "no_such_setting" in done.stderr
        assert not (stack.data_dir / "stack.json").exists()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", stack.port_base + 4)) != 0


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("RECOMPENSE_DATABASE_URL", "postgresql://someone:hush@127.0.0.1:1/recompense"),
        ("TEMPORAL_ADDRESS", "127.0.0.1:1"),
    ],
)
def test_a_named_server_that_does_not_answer_is_named_without_its_password(
    setting: str, address: str
) -> None:
    with stack_of_its_own({setting: address}) as stack:
        done = stack.run("up", "--port-base", str(stack.port_base))
        assert done.returncode == 3
        assert "127.0.0.1:1" in done.stderr
        assert "hush" not in done.stderr


def test_a_reset_empties_the_stack_and_touches_nothing_else() -> None:
    with stack_of_its_own() as stack:
        stack.up("--without", "api", "--without", "workers")
        (stack.data_dir / "mine.txt").write_text("not the stack's")
        assert stack.run("reset").returncode == 0
        left = {file.name for file in stack.data_dir.iterdir()}
        assert left == {"mine.txt", "supervisor.lock"}
        assert stack.run("down").returncode == 0
