"""`kill -9` of the only worker at each step of a payout run: every item is paid once, and the sums
are equal.

The smoke kills a small run at some of its steps; `make soak` a run of a thousand items at all of
them, and it takes two thousand items for the worker's memory. Ten thousand are `BENCH=runs`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from recompense.persistence.database import Database
from tests.support import crash_points, worker_hooks
from tests.support.caller import Caller, Request
from tests.support.census import SOAK, count
from tests.support.crash_points import Crash
from tests.support.payout_runs import merchant_with
from tests.support.stack import TestStack, eventually, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, effects_of, quiet

HASTY = {"sandbox": {"send_right_seconds": 2, "absent_is_final_after_seconds": 1}}
ITEMS = 1_000 if SOAK else 40
SHORT, LONG = (100, 2_000) if SOAK else (5, 40)
AMOUNT = 700
WHILE_BUILT = [
    Crash("after_commit", "payout_run.open"),
    Crash("before_commit", "payout_run.freeze"),
    Crash("after_commit", "payout_run.freeze"),
]
AT_REVIEW = [Crash("after_commit", "payout_run.review")]
WHILE_PAID = [
    Crash("before_activity", "payout_run.advance", nth=2),
    Crash("after_commit", "payout_run.advance"),
    Crash("after_commit", "payout.admit", nth=3),
    Crash("after_provider_call", "provider.create_payout", nth=2),
    Crash("before_commit", "payout.record", nth=2),
    Crash("before_commit", "payout_run.advance"),
    Crash("before_completion", "payout_run.advance", nth=2),
]
SMOKE = (WHILE_BUILT[1:2], AT_REVIEW, WHILE_PAID[1:4])
BUILT, REVIEWED, PAID = (WHILE_BUILT, AT_REVIEW, WHILE_PAID) if SOAK else SMOKE


class Finance(Caller):
    """Whoever makes and approves runs of a stack with crash points."""

    def __init__(self, stack: TestStack, file: Path) -> None:
        super().__init__(stack)
        self._file = file

    def killed_at(self, crashes: list[Crash], work: Any) -> Any:
        """Do `work` while the worker dies at these points, one after the other."""
        reached = crash_points.marker(self._file)
        reached.unlink(missing_ok=True)
        crashes[0].arm(self._file)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(work)
            for crash, following in zip(crashes, [*crashes[1:], None], strict=True):
                eventually(reached.exists, f"a worker came to {crash}")
                reached.unlink()
                if following is not None:
                    # While nobody works: the next worker finds it armed.
                    following.arm(self._file)
                count("cases by crash point", f"{crash.point} of {crash.activity}")
            return asked.result()

    def _workers(self) -> list[int]:
        workers: list[int] = self.stack.file()["pids"]["workers"]
        return workers

    def made(self, name: str) -> Any:
        """A run of this name, once it waits for its approval."""
        body = {"name": name, "business_date": "2026-11-27"}
        return self.ask(Request("/v1/payout-runs", body, role="finance"))

    def approve(self, run_id: str) -> Any:
        """The second person's word."""
        return self.ask(Request(f"/v1/payout-runs/{run_id}/approve", {}, role="admin"))

    def read(self, run_id: str) -> Any:
        """The run as the command shows it, with its items."""
        shown = self.stack.command("payout-runs", "show", run_id, "--json")
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)

    def memory(self) -> int:
        """Resident bytes of the largest worker."""
        return max(psutil.Process(pid).memory_info().rss for pid in self._workers())


@pytest.fixture(scope="module")
def finance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finance]:
    """A stack with one worker: nobody takes over until the supervisor has started it again."""
    crash_file = tmp_path_factory.mktemp("crash") / "crash.json"
    hooks = worker_hooks.settings(crash_file=crash_file)
    policies = {"RECOMPENSE_POLICY_OVERRIDES": json.dumps(HASTY)}
    with stack_of_its_own({**hooks, **policies}) as stack:
        stack.up("--workers", "1")
        yield Finance(stack, crash_file)


async def with_merchants(stack: TestStack, name: str, count_of: int) -> None:
    database = Database(stack.file()["database_url"])
    gate = asyncio.Semaphore(8)

    async def one() -> None:
        async with gate:
            await merchant_with(database, {"EUR": AMOUNT}, schedule=name)

    await asyncio.gather(*(one() for _ in range(count_of)))
    await database.close()


async def test_run_killed_at_each_step_pays_every_item_once(finance: Finance) -> None:
    await with_merchants(finance.stack, "killed", ITEMS)
    run = finance.killed_at(BUILT, lambda: finance.made("killed"))
    assert (run["items_count"], run["amount_total"]) == (ITEMS, {"EUR": ITEMS * AMOUNT})
    finance.killed_at([*REVIEWED, *PAID], lambda: finance.approve(run["id"]))
    await over(finance, run["id"])
    final = finance.read(run["id"])
    assert (final["status"], final["paid_count"], final["failed_count"]) == ("completed", ITEMS, 0)
    assert final["amount_paid"] == final["amount_total"]
    assert_paid_once(finance.stack, final)
    await quiet(finance.stack)
    await assert_nothing_lost_or_doubled(finance.stack, ())


async def over(finance: Finance, run_id: str) -> None:
    """Wait until each item is paid or has failed."""

    def has_ended() -> bool:
        run = finance.read(run_id)
        settled = run["paid_count"] + run["failed_count"] == run["items_count"]
        return bool(settled and run["status"].startswith("completed"))

    for _ in range(60 if SOAK else 2):
        try:
            return eventually(has_ended, "the run is over")
        except AssertionError:
            continue
    raise AssertionError(f"it never ended: {finance.read(run_id)['status']}")


def assert_paid_once(stack: TestStack, run: Any) -> None:
    """Assert that the provider paid each item of a run once, and its amount."""
    made = [(one["reference"], one["amount"]) for one in effects_of(stack)]
    items = [(item["payout_id"], item["amount"]) for item in run["items"]]
    assert sorted(one for one in made if one in set(items)) == sorted(items)
    count("effects counted", "payout run items", len(items))


async def test_long_run_takes_no_more_memory_than_a_short_one(finance: Finance) -> None:
    await with_merchants(finance.stack, "short", SHORT)
    short = finance.made("short")
    finance.approve(short["id"])
    await over(finance, short["id"])
    before = finance.memory()
    await with_merchants(finance.stack, "long", LONG)
    long = finance.made("long")
    assert long["items_count"] == LONG
    finance.approve(long["id"])
    await over(finance, long["id"])
    final = finance.read(long["id"])
    assert (final["status"], final["paid_count"]) == ("completed", LONG)
    assert_paid_once(finance.stack, final)
    assert finance.memory() < 300 * 2**20
    count("cases", f"memory grew by {(finance.memory() - before) // 2**20} MB over a long run")
