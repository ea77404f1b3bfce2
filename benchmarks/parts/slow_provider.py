"""A provider that takes its time: what the platform adds to it."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import controls, open_lab
from benchmarks.parts.authorize import latencies
from benchmarks.rounds import interleaved, warm_up
from benchmarks.sandbox import Sandbox
from benchmarks.subjects import subjects

DELAY_MS = 200


async def measure(bench: Bench) -> None:
    """p50 at 1 in flight, beside bare, with a provider that takes 200 ms."""
    bench.told("starting the stack and bare")
    async with (
        open_lab() as lab,
        controls(lab, "bare"),
        subjects(lab, "platform", "bare", "raw") as asks,
        async_client(lab.stack.sandbox_url) as sandbox,
    ):
        await warm_up(asks, bench.told)
        async with Sandbox(sandbox).answering_after(DELAY_MS):
            cells = await interleaved(
                asks,
                (1,),
                rounds=bench.rounds,
                seconds=bench.seconds,
                groups=lab.process_groups(),
                told=bench.told,
            )
    bench.note("slow_provider.p50.bare", latencies(cells, "platform", "bare", 1, 50))
    bench.note("slow_provider.p50.raw", latencies(cells, "platform", "raw", 1, 50))
