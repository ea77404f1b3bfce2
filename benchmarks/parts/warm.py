"""After a restart on the same data directory: no decay."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.lab import Lab, controls, open_lab
from benchmarks.parts.authorize import latencies, rates
from benchmarks.rounds import Cells, interleaved, warm_up
from benchmarks.statistics import ratios
from benchmarks.subjects import subjects

QUIET, BUSY = 1, 8
LEVELS = (QUIET, BUSY)


async def measure(bench: Bench) -> None:
    """The ratios to bare before and after `stack down` and `stack up`."""
    bench.told("starting the stack and bare")
    async with open_lab() as lab:
        before = await _measure(bench, lab, (BUSY,))
        bench.told("down and up again")
        await lab.restart()
        after = await _measure(bench, lab, LEVELS)
    bench.note("warm.throughput.8.bare", rates(after, "platform", "bare", BUSY))
    bench.note("warm.latency.p50.1.bare", latencies(after, "platform", "bare", QUIET, 50))
    bench.note("warm.decay", ratios(_to_bare(after), _to_bare(before)))


async def _measure(bench: Bench, lab: Lab, levels: tuple[int, ...]) -> Cells:
    async with controls(lab, "bare"), subjects(lab, "platform", "bare") as asks:
        await warm_up(asks, bench.told)
        return await interleaved(
            asks,
            levels,
            rounds=min(bench.rounds, 2),
            seconds=bench.seconds,
            groups=lab.process_groups(),
            told=bench.told,
        )


def _to_bare(cells: Cells) -> list[float]:
    pairs = zip(cells["platform", BUSY], cells["bare", BUSY], strict=True)
    return [ours.rate / bare.rate for ours, bare in pairs]
