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
IN_FLIGHT = 8
STEP = 50
MERCHANT = "mer_bench"


async def measure(bench: Bench) -> None:
    """One worker with a thousand payouts that wait for a person's approval."""
    bench.told("starting the stack")
    async with (
        open_lab(without=("workers",)) as lab,
        async_client(lab.stack.api_url) as api,
    ):
        report = lab.log("activations")
        merchant = Merchant(api, lab.stack)
        async with timed_worker(lab, report) as pid:
            await merchant.found(MERCHANT, balance=CACHED)
            await _ask_for_payouts(merchant, STEP)
            before = memory_megabytes(pid)
            for asked in range(STEP, CACHED, STEP):
                bench.told(f"{asked} of {CACHED} cached")
                await _ask_for_payouts(merchant, STEP)
            after = memory_megabytes(pid)
        times = json.loads(report.read_text(encoding="utf-8"))
    bench.note("cache.memory", round(after, 1), f"{after - before:.0f} MB more than with {STEP}")
    extremes = (percentile(times, percent) for percent in (50, 1, 99))
    bench.note("cache.activation", Spread(*extremes), "between the 1st and the 99th percentile")


async def _ask_for_payouts(merchant: Merchant, count: int) -> None:
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with gate:
            await merchant.ask_for_payout(MERCHANT, 1)

    async with asyncio.TaskGroup() as payouts:
        for _ in range(count):
            payouts.create_task(one())
