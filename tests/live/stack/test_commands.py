"""The commands of on-call people against a running stack: the tour, sagas, tokens, breakers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from recompense.contracts.reconciliation import BreakKind
from tests.support.stack import TestStack, eventually, stack_of_its_own


@dataclass(frozen=True)
class Told:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Command:
    """The `recompense` command on one stack."""

    stack: TestStack

    def __call__(self, *arguments: str) -> Told:
        """Run it to its end."""
        done = self.stack.command(*arguments)
        return Told(done.returncode, done.stdout, done.stderr)

    def good(self, *arguments: str) -> Told:
        """Run it, and it has to succeed."""
        told = self(*arguments)
        assert told.status == 0, (arguments, told)
        return told

    def data(self, *arguments: str) -> Any:
        """What it prints for a program to read."""
        return json.loads(self.good(*arguments, "--json").out)


@pytest.fixture(scope="module")
def recompense() -> Iterator[Command]:
    """The command, with a stack that is up."""
    with stack_of_its_own() as stack:
        stack.up()
        yield Command(stack)


def test_tour_is_taken_and_its_failed_saga_is_replayed(recompense: Command) -> None:
    tour = recompense.good("demo")
    assert "11. The books" in tour.out
    assert "difference 0" in tour.out
    assert [kind for kind in BreakKind if f": {kind}" not in tour.out] == []
    assert "reconciled by itself" in tour.out
    assert recompense.data("sagas", "list", "--state", "parked")["data"] == []

    failed = recompense.data("sagas", "list", "--state", "failed")["data"]
    (capture,) = [row for row in failed if row["kind"] == "capture"]
    workflow_id = capture["workflow_id"]
    assert workflow_id in tour.out
    shown = recompense.good("sagas", "show", workflow_id)
    for words in ("It failed:", "sagas replay", "release: done", capture["ui_url"]):
        assert words in shown.out
    told = recompense.data("sagas", "replay", workflow_id, "--reason", "x", "--dry-run")
    assert (told["action"], told["saga"]["state"]) == ("reset", "failed")
    done = recompense.data("sagas", "replay", workflow_id, "--reason", "it is back")
    assert (done["saga"]["state"], done["saga"]["attempt"]) == ("done", 2)
    story = recompense.data("sagas", "show", workflow_id)
    assert [entry["reason"] for entry in story["audit"]] == ["it is back"]

    not_parked = recompense("sagas", "resolve", workflow_id, "retry", "--reason", "x")
    assert (not_parked.status, not_parked.out) == (1, "")
    assert recompense("sagas", "show", "capture/cap_nobody").status == 2
    recompense.good("ledger", "verify")


def test_payout_run_is_made_reviewed_and_read(recompense: Command) -> None:
    made = recompense.data("payout-runs", "run", "by-hand", "2026-11-27", "--actor", "maker")
    assert (made["status"], made["items_count"]) == ("awaiting_approval", 0)
    again = recompense("payout-runs", "run", "by-hand", "2026-11-27")
    assert (again.status, made["id"] in again.err) == (1, True)
    reviewed = ("payout-runs", "approve", made["id"], "--reason", "x", "--actor")
    assert recompense(*reviewed, "maker").status == 1
    assert recompense.data(*reviewed, "checker")["reviewed_by"] == "checker"
    listed = recompense.data("payout-runs", "list", "--name", "by-hand")["data"]
    assert [run["id"] for run in listed] == [made["id"]]
    shown = recompense.good("payout-runs", "show", made["id"]).out
    run = recompense.data("payout-runs", "show", made["id"])
    assert run["workflow_id"] == "payout-run/by-hand/2026-11-27/all"
    assert run["workflow_status"] in {"running", "completed"}
    for words in ("made by", run["workflow_id"], run["ui_url"]):
        assert words in shown
    pointed = recompense("sagas", "show", run["workflow_id"])
    assert (pointed.status, "payout-runs list" in pointed.err) == (2, True)
    other = recompense.data("payout-runs", "run", "by-hand", "2026-11-30", "--currency", "EUR")
    rejected = recompense.data("payout-runs", "reject", other["id"], "--reason", "no")
    assert rejected["status"] == "rejected"
    assert recompense("payout-runs", "resume", other["id"], "--reason", "x").status == 1
    assert recompense("payout-runs", "show", "run_nobody").status == 2
    assert recompense("payout-runs", "run", "No Name", "2026-11-27").status == 2
    assert recompense("payout-runs", "run", "by-hand", "2026-13-01").status == 2


def test_payout_run_schedules_are_made_paused_and_backfilled(recompense: Command) -> None:
    schedules = {one["id"]: one for one in recompense.data("schedules", "list")["data"]}
    assert {f"payout-run-{name}" for name in ("daily", "weekly", "monthly")} <= set(schedules)
    assert schedules["payout-run-daily"]["daily_at"] == "06:00 UTC"
    recompense.good("schedules", "pause", "payout-run-daily", "--reason", "a holiday of ours")
    days = ("--from", "2026-11-26", "--to", "2026-11-27")
    recompense.good("schedules", "backfill", "payout-run-daily", *days, "--reason", "outage")

    def made() -> bool:
        runs = recompense.data("payout-runs", "list", "--name", "daily")["data"]
        return {run["business_date"] for run in runs} >= {"2026-11-26", "2026-11-27"}

    eventually(made, "both dates are run")
    recompense.good("schedules", "resume", "payout-run-daily", "--reason", "open again")
    backwards = ("--from", "2026-11-27", "--to", "2026-11-26")
    wrong = recompense("schedules", "backfill", "payout-run-daily", *backwards, "--reason", "x")
    assert wrong.status == 2


def test_report_is_reconciled_and_its_break_is_assigned_and_resolved(recompense: Command) -> None:
    day = "2040-02-29"
    sandbox = recompense.stack.file()["sandbox_url"]
    report = {"date": day, "corrupt": "extra"}
    httpx.post(f"{sandbox}/_control/settle", json=report, trust_env=False).raise_for_status()
    found = recompense("reconcile", "run", "sandbox", day, "--json")
    assert (found.status, json.loads(found.out)["status"]) == (1, "breaks")
    listed = recompense.data("breaks", "list")["data"]
    (strange,) = [one for one in listed if (one["kind"], one["date"]) == ("missing_here", day)]
    assert recompense.data("breaks", "assign", strange["id"], "chief")["assignee"] == "chief"
    assert "chief" in recompense.good("breaks", "show", strange["id"]).out
    unfit = recompense("breaks", "resolve", strange["id"], "reverse", "--reason", "x")
    assert (unfit.status, unfit.out) == (1, "")
    done = recompense.data("breaks", "resolve", strange["id"], "accept", "--reason", "told so")
    assert (done["status"], done["resolution"]["action"]) == ("resolved", "accept")
    assert recompense.data("reconcile", "run", "sandbox", day)["status"] == "clean"
    assert recompense("reconcile", "run", "nobody", day).status == 2
    assert recompense("breaks", "show", "brk_nobody").status == 2


def taken(recompense: Command) -> None:
    """A payment of the demo merchant, captured at once."""
    up = recompense.stack.file()
    headers = {
        "Authorization": f"Bearer {up['tokens']['backend']}",
        "Idempotency-Key": "a-payment-for-the-statement",
    }
    body = {
        "merchant_id": "mer_demo",
        "amount": 1_000,
        "currency": "EUR",
        "payment_method": {"type": "card_token", "token": "tok_ok"},
        "capture_method": "automatic",
    }
    made = httpx.post(f"{up['api_url']}/v1/payments", json=body, headers=headers, trust_env=False)
    assert made.json()["status"] == "captured"


def test_statement_is_written_for_a_merchant(recompense: Command) -> None:
    taken(recompense)
    asked = ("statements", "merchant", "mer_demo", "--from", "2026-01-01")
    eventually(lambda: "closing_balance" in recompense.good(*asked).out, "the books are closed")
    opening, *moves, closing = recompense.good(*asked).out.splitlines()[1:]
    assert (",opening_balance," in opening, ",closing_balance," in closing) == (True, True)
    assert any(",capture," in move or ",captured," in move for move in moves), moves
    assert "<html" in recompense.good(*asked, "--format", "html").out
    assert recompense("statements", "merchant", "mer_nobody", "--from", "2026-01-01").status == 2


def test_minted_token_and_key_open_what_their_scopes_say(recompense: Command) -> None:
    url = f"{recompense.stack.file()['api_url']}/v1/ops/sagas"

    def status(credential: str) -> int:
        headers = {"Authorization": f"Bearer {credential}"}
        return httpx.get(url, headers=headers, trust_env=False).status_code

    minted = recompense.data("tokens", "mint", "--scopes", "ops:read")
    assert set(minted) == {"token", "expires_at"}
    assert status(minted["token"]) == 200
    other = recompense.good("tokens", "mint", "--scopes", "payments:read", "--ttl", "60s").out
    assert status(other.strip()) == 403
    assert recompense("tokens", "mint", "--scopes", "everything").status == 2

    made = recompense.data("keys", "create", "--name", "t", "--scopes", "ops:read")
    assert status(made["key"]) == 200
    recompense.good("keys", "revoke", made["id"], "--reason", "a test")
    assert recompense("keys", "revoke", made["id"], "--reason", "again").status == 1


def test_breaker_is_held_open_until_it_is_closed(recompense: Command) -> None:
    def phases() -> set[str]:
        (sandbox,) = recompense.data("providers", "list")["data"]
        return set(sandbox["breaker"].values())

    recompense.good("providers", "breaker", "sandbox", "open", "--reason", "they asked")
    assert phases() == {"held_open"}
    recompense.good("providers", "breaker", "sandbox", "close", "--reason", "they are done")
    assert phases() == {"closed"}
    assert recompense("providers", "breaker", "nobody", "open", "--reason", "x").status == 2
    checks = recompense.data("providers", "check", "sandbox")["checks"]
    assert all(check["passed"] for check in checks)


def test_stack_that_is_down_is_named_and_nothing_is_done(recompense: Command) -> None:
    recompense.good("stack", "down")
    for command in (["sagas", "list"], ["demo"], ["schedules", "list"]):
        told = recompense(*command)
        assert (told.status, told.out) == (3, "")
        assert f"No stack runs in {recompense.stack.data_dir}" in told.err
    assert recompense("keys", "revoke", "key_1", "--reason", "x").status == 3
