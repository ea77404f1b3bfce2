"""`kill -9` of the only worker at each named point of each operation, and a worker that is stopped
in a call and wakes when another has finished it.

The smoke takes one operation for each point; `make soak` takes all of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count as numbers
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import crash_points
from tests.support.census import SOAK, count
from tests.support.crash_points import Crash, Point
from tests.support.stack import PATIENCE_SECONDS, TestStack, eventually, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, effects_of, quiet

HOOK = Path(crash_points.__file__).with_name("crash_site")
ROOT = Path(crash_points.__file__).parents[2]
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


OPERATIONS = {
    "authorize": Operation("authorize", "authorization", "provider.authorize", "authorize"),
    "capture": Operation("capture", "capture", "provider.capture", "capture"),
    "refund": Operation("refund", "refund", "provider.refund", "refund"),
    "payout": Operation("payout", "payout", "provider.create_payout", "payout"),
}
IN_HOUSE: tuple[Point, ...] = ("before_activity", "before_commit", "after_commit")
CALL: tuple[Point, ...] = ("before_provider_call", "after_provider_call", "before_completion")


def _all_cases() -> list[tuple[str, Point, str]]:
    steps = [(step, point) for step in ("admit", "record", "release") for point in IN_HOUSE]
    places = [*steps, *(("call", point) for point in CALL)]
    return [(operation, point, step) for operation in OPERATIONS for step, point in places]


SMOKE: list[tuple[str, Point, str]] = [
    ("capture", "before_provider_call", "call"),
    ("refund", "after_provider_call", "call"),
    ("payout", "before_commit", "record"),
    ("authorize", "after_commit", "release"),
]
CASES = _all_cases() if SOAK else SMOKE
STOPS: tuple[Point, ...] = CALL[:2] if SOAK else CALL[:1]


@dataclass
class Desk:
    """A stack with crash points, and a caller who repeats each request until its end is known."""

    stack: TestStack
    file: Path
    told: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=numbers)

    def arm(self, crash: Crash) -> None:
        """Arm one crash."""
        crash_points.marker(self.file).unlink(missing_ok=True)
        crash.arm(self.file)

    def reached_by(self) -> int:
        """The pid of the process that came to the armed point."""
        return int(crash_points.marker(self.file).read_text(encoding="utf-8"))

    def is_reached(self) -> bool:
        """Whether a process came to it."""
        return crash_points.marker(self.file).exists()

    def unavailable(self, operation: str) -> None:
        """Let the provider be away for an operation until `clear` is called."""
        fault = {"operation": operation, "fault": "unavailable", "times": -1}
        httpx.post(f"{self._provider}/_control/faults", json=fault).raise_for_status()

    def clear(self) -> None:
        """The provider is back."""
        httpx.delete(f"{self._provider}/_control/faults").raise_for_status()

    @property
    def _provider(self) -> str:
        return str(self.stack.file()["sandbox_url"])

    def prepare(self, operation: str) -> tuple[str, dict[str, Any], str]:
        """What the operation needs before it: its path, its body and who may ask for it."""
        money = {"merchant_id": "mer_demo", "amount": 100, "currency": "EUR"}
        payment = {**money, "payment_method": {"type": "card_token", "token": "tok_ok"}}
        if operation == "authorize":
            return "/v1/payments", payment, "backend"
        method = "manual" if operation == "capture" else "automatic"
        made = self.ask("/v1/payments", {**payment, "capture_method": method}, "backend")
        if operation == "payout":
            bank = {"type": "bank_token", "token": "tok_ok"}
            return "/v1/payouts", {**money, "amount": 20, "destination": bank}, "finance"
        return f"/v1/payments/{made['id']}/{operation}s", {"amount": 40}, "backend"

    def ask(self, path: str, body: dict[str, Any], role: str) -> dict[str, Any]:
        """Ask under one key until the outcome is known."""
        key = f"kill-point-{os.getpid()}-{next(self._numbers)}"
        give_up_at = time.monotonic() + 2 * PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            told = self._once(path, body, role, key)
            if told is not None:
                self.told.append(told)
                return told
            time.sleep(0.3)
        raise AssertionError(f"{path} never had an outcome")

    def _once(self, path: str, body: dict[str, Any], role: str, key: str) -> dict[str, Any] | None:
        stack = self.stack.file()
        headers = {"Authorization": f"Bearer {stack['tokens'][role]}", "Idempotency-Key": key}
        try:
            answer = httpx.post(
                stack["api_url"] + path, json=body, headers=headers, trust_env=False, timeout=15
            )
        except httpx.HTTPError:
            return None
        if answer.status_code in {200, 201}:
            resource: dict[str, Any] = answer.json()
            return resource
        assert answer.status_code in {202, 409, 503}, answer.text
        return None


def _settings(crash_file: Path) -> dict[str, str]:
    return {
        "RECOMPENSE_CRASH_POINT": str(crash_file),
        "RECOMPENSE_POLICY_OVERRIDES": json.dumps(HASTY),
        "PYTHONPATH": os.pathsep.join((str(HOOK), str(ROOT))),
    }


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A stack with one worker: nobody takes over, until the supervisor has started it again."""
    crash_file = tmp_path_factory.mktemp("crash") / "crash.json"
    with stack_of_its_own(**_settings(crash_file)) as stack:
        stack.up("--workers", "1")
        yield Desk(stack, crash_file)


@pytest.mark.parametrize(("name", "point", "step"), CASES)
async def test_worker_killed_at_a_named_point_doubles_nothing(
    lonely: Desk, name: str, point: Point, step: str
) -> None:
    operation, desk = OPERATIONS[name], lonely
    path, body, role = desk.prepare(name)
    before = len(effects_of(desk.stack))
    if step == "release":
        desk.unavailable(operation.effect)
    activity = operation.call if step == "call" else f"{operation.in_house}.{step}"
    desk.arm(Crash(point, activity))
    told = desk.ask(path, body, role)
    desk.clear()
    assert desk.is_reached(), "the point was not reached: the case proves nothing"
    eventually(
        lambda: desk.reached_by() not in desk.stack.file()["pids"]["workers"],
        "the worker was started again",
    )
    await quiet(desk.stack, ends=("done", "failed"))
    made = effects_of(desk.stack)[before:]
    if step == "release":
        assert (told["status"], made) == ("failed", [])
    else:
        assert told["status"] in {"authorized", "succeeded", "in_transit", "paid"}
        assert [effect["operation"] for effect in made] == [operation.effect]
    await assert_nothing_lost_or_doubled(desk.stack, desk.told)
    count("cases by crash point", f"{point} of {step}")
    count("effects counted", "kill points", len(made))


@pytest.mark.parametrize("point", STOPS)
async def test_stopped_worker_that_wakes_too_late_sends_nothing_again(
    lonely: Desk, point: Point
) -> None:
    """Stopped before the request was written, or with its answer in hand; its time runs out and
    another worker finishes; then it wakes.
    """
    path, body, role = lonely.prepare("capture")
    before = len(effects_of(lonely.stack))
    lonely.arm(Crash(point, "provider.capture", action="stop"))
    with ThreadPoolExecutor() as caller:
        asked = caller.submit(lonely.ask, path, body, role)
        eventually(lonely.is_reached, "a worker came to the point")
        stopped = lonely.reached_by()
        eventually(lambda: _status(stopped) == psutil.STATUS_STOPPED, "it is stopped")
        with _another_worker(stopped):
            told = asked.result()
            os.kill(stopped, signal.SIGCONT)
            # Both serve again: what the woken one still had in hand is dealt with.
            for _ in range(4):
                lonely.prepare("capture")
    assert told["status"] == "succeeded"
    await quiet(lonely.stack, ends=("done", "failed"))
    made = [effect["operation"] for effect in effects_of(lonely.stack)[before:]]
    assert made.count("capture") == 1
    await assert_nothing_lost_or_doubled(lonely.stack, lonely.told)
    count("cases by crash point", f"SIGSTOP {point}, SIGCONT after its time")


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
