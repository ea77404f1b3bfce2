"""`kill -9` of the only worker at each named point of each operation, and a worker that is stopped
in a call and wakes when another has finished it.

The smoke takes one operation for each point; `make soak` takes all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest

from tests.support import crash_points, worker_hooks
from tests.support.caller import Caller, Refused, Request, approval, payment
from tests.support.census import SOAK, count
from tests.support.crash_points import Crash, Point
from tests.support.stack import eventually, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, effects_of, quiet

HASTY = {
    "sandbox": {
        "calls": {
            "*": {"maximum_attempts": 3},
            # A stopped worker still takes a task for each of its open polls: the patience to let
            # them all run out.
            "capture": {
                "maximum_attempts": 12,
                "start_to_close_seconds": 3.5,
                "schedule_to_close_seconds": 90,
            },
        },
        "send_right_seconds": 2,
        "absent_is_final_after_seconds": 1,
    }
}


@dataclass(frozen=True)
class Operation:
    """One operation in the words of its activities and of the provider."""

    name: str
    in_house: str
    call: str
    effect: str
    steps: tuple[str, ...] = ("admit", "record", "release")


OPERATIONS = {
    one.name: one
    for one in (
        Operation("authorize", "authorization", "provider.authorize", "authorize"),
        Operation("capture", "capture", "provider.capture", "capture"),
        Operation("void", "void", "provider.void", "void"),
        Operation("refund", "refund", "provider.refund", "refund"),
        Operation("payout", "payout", "provider.create_payout", "payout"),
        Operation(
            "approved payout",
            "payout",
            "provider.create_payout",
            "payout",
            ("admit", "review", "record", "release"),
        ),
    )
}
IN_HOUSE: tuple[Point, ...] = ("before_activity", "before_commit", "after_commit")
CALL: tuple[Point, ...] = ("before_provider_call", "after_provider_call", "before_completion")


def _all_cases() -> list[tuple[str, Point, str]]:
    return [
        (operation.name, point, step)
        for operation in OPERATIONS.values()
        for step in (*operation.steps, "call")
        for point in (CALL if step == "call" else IN_HOUSE)
    ]


SMOKE: list[tuple[str, Point, str]] = [
    ("capture", "before_provider_call", "call"),
    ("refund", "after_provider_call", "call"),
    ("void", "after_commit", "release"),
    ("approved payout", "after_commit", "review"),
]
CASES = _all_cases() if SOAK else SMOKE
STOPS: tuple[Point, ...] = CALL[:2] if SOAK else CALL[:1]
GOOD_ENDS = {"void": {"voided"}, "authorize": {"authorized"}}
PAID_OR_MOVED = {"succeeded", "in_transit", "paid"}
TAKEN_BACK = {"failed", "payment_not_voidable"}
"""What a caller is told of an operation that was taken back."""


@dataclass
class Desk(Caller):
    """A caller of a stack with crash points."""

    file: Path = field(kw_only=True)

    def arm_crash(self, crash: Crash) -> None:
        """Arm one crash."""
        crash_points.marker(self.file).unlink(missing_ok=True)
        crash.arm(self.file)

    def reached_by(self) -> int:
        """The pid of the process that came to the armed point."""
        return int(crash_points.marker(self.file).read_text(encoding="utf-8"))

    def is_reached(self) -> bool:
        """Whether a process came to it."""
        return crash_points.marker(self.file).exists()

    def carry(self, operation: str, request: Request) -> str:
        """Ask for a prepared operation, and give the approval that it waits for. What the caller is
        told: the status, or why it was refused.
        """
        try:
            told = self.ask(request)
            if operation == "approved payout":
                assert told["status"] == "awaiting_approval"
                told = self.ask(approval(told["id"]))
        except Refused as refused:
            return str(refused)
        return str(told["status"])


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A stack with one worker: nobody takes over, until the supervisor has started it again."""
    crash_file = tmp_path_factory.mktemp("crash") / "crash.json"
    hooks = worker_hooks.settings(crash_file=crash_file)
    policies = {"RECOMPENSE_POLICY_OVERRIDES": json.dumps(HASTY)}
    with stack_of_its_own({**hooks, **policies}) as stack:
        stack.up("--workers", "1")
        yield Desk(stack, file=crash_file)


@pytest.mark.parametrize(("name", "point", "step"), CASES)
async def test_worker_killed_at_a_named_point_doubles_nothing(
    lonely: Desk, name: str, point: Point, step: str
) -> None:
    operation, desk = OPERATIONS[name], lonely
    request = desk.prepared(name)
    before = len(effects_of(desk.stack))
    if step == "release":
        desk.arm(operation.effect, "unavailable")
    activity = operation.call if step == "call" else f"{operation.in_house}.{step}"
    desk.arm_crash(Crash(point, activity))
    try:
        told = desk.carry(name, request)
    finally:
        desk.clear()
    assert desk.is_reached(), "the point was not reached: the case proves nothing"
    eventually(
        lambda: desk.reached_by() not in desk.stack.file()["pids"]["workers"],
        "the worker was started again",
    )
    await quiet(desk.stack, ends=("done", "failed"))
    made = effects_of(desk.stack)[before:]
    if step == "release":
        assert told in TAKEN_BACK
        assert made == []
    else:
        assert told in GOOD_ENDS.get(name, PAID_OR_MOVED)
        assert [effect["operation"] for effect in made] == [operation.effect]
    await assert_nothing_lost_or_doubled(desk.stack, desk.told)
    count("cases by crash point", f"{point} of {step}")
    count("cases by operation killed", name)
    count("effects counted", "kill points", len(made))


@pytest.mark.parametrize("point", STOPS)
async def test_stopped_worker_that_wakes_too_late_sends_nothing_again(
    lonely: Desk, point: Point
) -> None:
    """Stopped before the request was written, or with its answer in hand; its time runs out and
    another worker finishes; then it wakes.
    """
    request = lonely.prepared("capture")
    before = len(effects_of(lonely.stack))
    lonely.arm_crash(Crash(point, "provider.capture", action="stop"))
    with ThreadPoolExecutor() as caller:
        asked = caller.submit(lonely.ask, request)
        eventually(lonely.is_reached, "a worker came to the point")
        stopped = lonely.reached_by()
        eventually(lambda: _status(stopped) == psutil.STATUS_STOPPED, "it is stopped")
        with _another_worker(stopped):
            told = asked.result()
            os.kill(stopped, signal.SIGCONT)
            # Both serve again: what the woken one still had in hand is dealt with.
            for _ in range(4):
                lonely.prepared("capture")
    assert told["status"] == "succeeded"
    await quiet(lonely.stack, ends=("done", "failed"))
    made = [effect["operation"] for effect in effects_of(lonely.stack)[before:]]
    assert made.count("capture") == 1
    await assert_nothing_lost_or_doubled(lonely.stack, lonely.told)
    count("cases by crash point", f"SIGSTOP {point}, SIGCONT after its time")


def _reconciliation_cases() -> list[tuple[Point, str]]:
    cases: list[tuple[Point, str]] = [
        (point, f"reconciliation.{step}")
        for step in ("fetch", "load")
        for point in ("before_activity", "before_completion")
    ]
    for step in ("compare", "release", "finish"):
        cases += [(point, f"reconciliation.{step}") for point in IN_HOUSE]
    return cases


RECONCILIATIONS: list[tuple[Point, str]] = (
    _reconciliation_cases() if SOAK else [("before_commit", "reconciliation.compare")]
)


@pytest.mark.parametrize(("point", "activity"), RECONCILIATIONS)
async def test_worker_killed_in_a_reconciliation_settles_once(
    lonely: Desk, point: Point, activity: str
) -> None:
    lonely.ask(payment(capture_method="automatic"))
    await quiet(lonely.stack, ends=("done", "failed"))
    day = (date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)).isoformat()
    sandbox = lonely.stack.file()["sandbox_url"]
    httpx.post(f"{sandbox}/_control/settle", json={"date": day}).raise_for_status()
    lonely.arm_crash(Crash(point, activity))
    body = {"provider": "sandbox", "date": day}
    asked = Request("/v1/reconciliations", body, role="admin")
    found: list[dict[str, Any]] = []

    def is_known() -> bool:
        told = lonely.once(asked, key=f"reconcile-{day}")
        found.extend([told] if told is not None else [])
        return bool(found)

    eventually(is_known, "the reconciliation has ended")
    assert lonely.is_reached(), "the point was not reached: the case proves nothing"
    assert (found[0]["status"], found[0]["breaks"]) == ("clean", 0)
    assert found[0]["matched"] == found[0]["lines"] > 0
    with psycopg.connect(lonely.stack.file()["database_url"]) as connection:
        [[owed]] = connection.execute(
            "SELECT coalesce(sum(CASE WHEN direction = 'debit' THEN posted ELSE -posted END), 0)"
            " FROM ledger_entries WHERE account = 'provider:sandbox:clearing'"
        )
    assert owed == 0
    await assert_nothing_lost_or_doubled(lonely.stack, lonely.told)
    count("cases by crash point", f"{point} of {activity}")


async def test_api_killed_between_a_reconciliation_and_its_start_leaves_it_to_the_relay(
    lonely: Desk,
) -> None:
    day = (date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)).isoformat()
    sandbox = lonely.stack.file()["sandbox_url"]
    httpx.post(f"{sandbox}/_control/settle", json={"date": day}).raise_for_status()
    lonely.arm_crash(Crash("before_start", "reconciliations.start"))
    asked = Request("/v1/reconciliations", {"provider": "sandbox", "date": day}, role="admin")
    # Asked once, and never again under this key.
    assert lonely.once(asked, key=f"reconcile-{day}") is None
    assert lonely.is_reached(), "the point was not reached: the case proves nothing"

    def made() -> list[tuple[str]]:
        with psycopg.connect(lonely.stack.file()["database_url"]) as connection:
            query = "SELECT status FROM reconciliations WHERE report_date = %s"
            return connection.execute(query, [day]).fetchall()

    eventually(lambda: made() == [("clean",)], "the one reconciliation has ended")
    await assert_nothing_lost_or_doubled(lonely.stack, lonely.told)
    count("cases by crash point", "before_start of a reconciliation, in the API")


def _status(pid: int) -> str:
    return str(psutil.Process(pid).status())


@contextmanager
def _another_worker(like: int) -> Iterator[None]:
    """A worker beside the supervisor's own, of the same stack."""
    model = psutil.Process(like)
    with subprocess.Popen(model.cmdline(), env=model.environ()) as worker:
        try:
            yield
        finally:
            worker.terminate()
