"""Scale-out: the same load on more worker processes and on a second API process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import median

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import Lab, open_lab, platform_api, platform_worker
from benchmarks.load import Ask, Cell
from benchmarks.parts.authorize import cpu_by_group
from benchmarks.rounds import patiently
from benchmarks.statistics import ratios
from benchmarks.subjects import platform_ask

IN_FLIGHT = 16
SHAPES = ((1, 1), (2, 1), (4, 1), (2, 2))
"""Worker processes and API processes."""
WARM_UP_SECONDS = 1.0


async def measure(bench: Bench) -> None:
    """Authorizations a second for each shape, as ratios to one worker and one API process."""
    bench.told("starting the stack")
    cells: dict[tuple[int, int], list[Cell]] = {shape: [] for shape in SHAPES}
    async with open_lab(without=("workers",)) as lab:
        for turn in range(bench.few_rounds):
            for workers, apis in SHAPES:
                bench.told(f"round {turn + 1}: {workers} workers, {apis} API processes")
                async with _shape(lab, workers, apis) as (ask, groups):
                    await patiently(ask, IN_FLIGHT, WARM_UP_SECONDS, {}, bench.told)
                    cell = await patiently(ask, IN_FLIGHT, bench.seconds, groups, bench.told)
                cells[workers, apis].append(cell)
    one = [cell.rate for cell in cells[1, 1]]
    for (workers, apis), found in cells.items():
        if (workers, apis) != (1, 1):
            key = f"scale.{workers}.{apis}"
            bench.note(key, ratios([cell.rate for cell in found], one))
    bench.result.series["scale"] = [
        {
            "workers": workers,
            "apis": apis,
            "rate": round(median(cell.rate for cell in found), 2),
            "cpu_ms": cpu_by_group(found),
        }
        for (workers, apis), found in cells.items()
    ]


@asynccontextmanager
async def _shape(
    lab: Lab, workers: int, apis: int
) -> AsyncIterator[tuple[Ask, dict[str, list[int]]]]:
    groups = lab.process_groups()
    urls = [lab.stack.api_url]
    async with AsyncExitStack() as stack:

        async def worker(number: int) -> None:
            groups["worker"].append(await stack.enter_async_context(platform_worker(lab, number)))

        async def api(number: int) -> None:
            pid, url = await stack.enter_async_context(platform_api(lab, number))
            groups["API"].append(pid)
            urls.append(url)

        async with asyncio.TaskGroup() as starting:
            for number in range(workers):
                starting.create_task(worker(number))
            for number in range(1, apis):
                starting.create_task(api(number))
        clients = [await stack.enter_async_context(async_client(url)) for url in urls]
        yield platform_ask(clients, lab.stack.tokens.backend), groups
