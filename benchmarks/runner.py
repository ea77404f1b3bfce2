"""Runs the parts in their order, each guarded: one that fails leaves the others' figures."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import plots
from benchmarks.bench import Bench, Sizes
from benchmarks.parts import (
    authorize,
    cache,
    counts,
    demo,
    growth,
    hanging,
    ledger,
    overload,
    profile,
    reconcile,
    recovery,
    runs,
    scale,
    slow_provider,
    warm,
)
from benchmarks.results import Result, new_result

_FOLDERS = re.compile(r"(?<![\w/:])/(?:[^\s/:]+/)+")

Part = Callable[[Bench], Awaitable[None]]

PARTS: Mapping[str, Part] = {
    "counts": counts.measure,
    "authorize": authorize.measure,
    "latency": authorize.measure_latency,
    "cpu": authorize.measure_cpu,
    "slow_provider": slow_provider.measure,
    "ledger": ledger.measure,
    "warm": warm.measure,
    "scale": scale.measure,
    "overload": overload.measure,
    "recovery": recovery.measure,
    "hanging": hanging.measure,
    "demo": demo.measure,
    "cache": cache.measure,
    "runs": runs.measure,
    "reconcile": reconcile.measure,
    "growth": growth.measure,
    "profile": profile.measure,
}
"""The parts by the name that `BENCH=` takes, in the order in which they run."""

OF_ANOTHER = frozenset({"latency", "cpu"})
"""Pieces of another part, run only when they are asked for."""


@dataclass(frozen=True)
class Thoroughness:
    """How many rounds there are, how long each measurement takes, and how much is filled in."""

    rounds: int
    few_rounds: int
    seconds: float
    sizes: Sizes


async def run_parts(names: Sequence[str], thorough: Thoroughness, console: Console) -> Result:
    """Run these parts and keep the result after each."""
    result = new_result(names)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} parts"),
        TimeElapsedColumn(),
    )
    took: dict[str, float] = {}
    with Progress(*columns, console=console, transient=console.is_terminal) as progress:
        task = progress.add_task("", total=len(names))
        for name in [part for part in PARTS if part in names]:

            def told(what: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {what}")
                if not console.is_terminal:
                    console.print(f"{name}: {what}", highlight=False)

            begun = time.monotonic()
            await _guarded(name, _bench(result, thorough, told), console)
            took[name] = round(time.monotonic() - begun, 1)
            result.series["seconds"] = took
            result.save()
            progress.advance(task)
    plots.draw(result)
    return result


def _bench(result: Result, thorough: Thoroughness, told: Callable[[str], None]) -> Bench:
    return Bench(
        result, thorough.rounds, thorough.few_rounds, thorough.seconds, thorough.sizes, told
    )


async def _guarded(name: str, bench: Bench, console: Console) -> None:
    try:
        await PARTS[name](bench)
    except Exception as error:
        console.print_exception(max_frames=8, extra_lines=1)
        bench.result.failures[name] = reason(error)


def reason(error: BaseException) -> str:
    """The innermost failure of a group, and the first line of what it says, without folders."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    first_line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {_FOLDERS.sub('', first_line)}"
