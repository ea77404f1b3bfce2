"""The load: so many callers, each of which asks again as soon as it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.processes import cpu_seconds

Ask = Callable[[], Awaitable[None]]
"""One operation, from the request to its outcome; raises when the outcome is a wrong one."""


@dataclass(frozen=True)
class Cell:
    """What one subject did at one number in flight in one round.

    `latencies` are seconds of the operations that ended within the `seconds` measured; `cpu` is the
    CPU seconds of each group of processes in that time.
    """

    in_flight: int
    seconds: float
    latencies: list[float] = field(repr=False)
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Operations a second."""
        return len(self.latencies) / self.seconds

    def cpu_each(self, *groups: str) -> float:
        """CPU milliseconds of these groups for one operation."""
        return 1000 * sum(self.cpu[group] for group in groups) / max(1, len(self.latencies))


async def closed_loop(
    ask: Ask, in_flight: int, seconds: float, groups: dict[str, list[int]]
) -> Cell:
    """Measure `seconds` of steady load.

    The time before every caller has had its first answer is not measured, nor is the time in which
    the last ones end: a slow subject would lose more by them than a quick one.
    """
    ended: list[tuple[float, float]] = []
    stop, first_answers = asyncio.Event(), asyncio.Semaphore(0)

    async def caller() -> None:
        await ask()
        first_answers.release()
        while not stop.is_set():
            begun = time.perf_counter()
            await ask()
            now = time.perf_counter()
            ended.append((now, now - begun))

    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
        for _ in range(in_flight):
            await first_answers.acquire()
        before, begin = _used(groups), time.perf_counter()
        await asyncio.sleep(seconds)
        end, after = time.perf_counter(), _used(groups)
        stop.set()
    return Cell(
        in_flight,
        end - begin,
        [latency for at, latency in ended if begin < at <= end],
        {name: after[name] - before[name] for name in before},
    )


def _used(groups: dict[str, list[int]]) -> dict[str, float]:
    return {name: cpu_seconds(pids) for name, pids in groups.items()}
