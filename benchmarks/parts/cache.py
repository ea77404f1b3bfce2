"""The workflow cache: how long a first activation takes, what a thousand cached workflows weigh."""

from __future__ import annotations

import asyncio
import json

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import open_lab, timed_worker
from benchmarks.merchant import Merchant
from benchmarks.processes import memory_megabytes
from benchmarks.statistics import Spread, percentile

CACHED = 1000
IN_FLIGHT = 16
FIRST = 50
WAITS_FOR_THE_PAYER = "tok_3ds"


async def measure(bench: Bench) -> None:
    """One worker with a thousand payments that wait for their payers."""
    bench.told("starting the stack")
    async with (
        open_lab(without=("workers",)) as lab,
        async_client(lab.stack.api_url) as api,
    ):
        report = lab.log("activations")
        merchant = Merchant(api, lab.stack)
        async with timed_worker(lab, report) as pid:
            await _wait_for_payers(merchant, FIRST)
            before = memory_megabytes(pid)
            for done in range(0, CACHED - FIRST, FIRST):
                bench.told(f"{done + FIRST} of {CACHED} cached")
                await _wait_for_payers(merchant, FIRST)
            after = memory_megabytes(pid)
        times = json.loads(report.read_text(encoding="utf-8"))
    grown = f"{after - before:.0f} MB more than with {FIRST}"
    bench.note("cache.memory", round(after, 1), grown)
    middle, worst = percentile(times, 50), percentile(times, 99)
    bench.note(
        "cache.activation", Spread(middle, percentile(times, 1), worst), "1st to 99th of 100"
    )


async def _wait_for_payers(merchant: Merchant, count: int) -> None:
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with gate:
            await merchant.authorize(WAITS_FOR_THE_PAYER)

    async with asyncio.TaskGroup() as payments:
        for _ in range(count):
            payments.create_task(one())
