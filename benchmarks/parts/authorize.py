"""Authorizations: throughput, latency and CPU, the platform and its controls in turn."""

from __future__ import annotations

from typing import Any

from benchmarks.bench import Bench
from benchmarks.lab import controls, open_lab
from benchmarks.load import Cell
from benchmarks.rounds import Cells, interleaved, warm_up
from benchmarks.statistics import Spread, percentile, ratios, spread
from benchmarks.subjects import subjects

LEVELS = (1, 8, 32)
SUBJECTS = ("platform", "bare", "usual", "peer")
PLATFORM_GROUPS = ("API", "worker", "Temporal", "PostgreSQL", "sandbox")


async def measure(bench: Bench) -> None:
    """All figures of the authorization, from one interleaved run."""
    await _run(bench, LEVELS, SUBJECTS)


async def measure_latency(bench: Bench) -> None:
    """The figures of latency alone."""
    await _run(bench, (1, 8), SUBJECTS)


async def measure_cpu(bench: Bench) -> None:
    """The figures of CPU alone."""
    await _run(bench, (8,), ("platform", "bare", "peer"))


async def _run(bench: Bench, levels: tuple[int, ...], names: tuple[str, ...]) -> None:
    bench.told("starting the stack and the controls")
    async with (
        open_lab() as lab,
        controls(lab, *names[1:]),
        subjects(lab, *names) as asks,
    ):
        await warm_up(asks, bench.told)
        cells = await interleaved(
            asks,
            levels,
            rounds=bench.rounds,
            seconds=bench.seconds,
            groups=lab.process_groups(),
            told=bench.told,
        )
    _note(bench, cells)


def _note(bench: Bench, cells: Cells) -> None:
    for control, in_flight in cells:
        if control == "platform":
            continue
        if in_flight > 1:
            bench.note(
                f"throughput.{in_flight}.{control}", rates(cells, "platform", control, in_flight)
            )
        else:
            bench.note(f"latency.p50.1.{control}", latencies(cells, "platform", control, 1, 50))
    bench.note("latency.p99.8.bare", tails(cells, "platform", "bare", 8, 99))
    note_cpu(bench, cells)
    bench.result.series["authorize"] = series(cells)


def note_cpu(bench: Bench, cells: Cells) -> None:
    """CPU of one authorization at 8 in flight, and in the series by process."""
    ours = [cell.cpu_each("API", "worker") for cell in cells["platform", 8]]
    bench.note("cpu.bare", ratios(ours, [cell.cpu_each("bare") for cell in cells["bare", 8]]))
    bench.note("cpu.peer", ratios(*(_cpu_of_all(cells, name) for name in ("platform", "peer"))))
    bench.result.series["cpu"] = {
        name: cpu_by_group(found) for (name, in_flight), found in cells.items() if in_flight == 8
    }


def _cpu_of_all(cells: Cells, name: str) -> list[float]:
    groups = {"platform": PLATFORM_GROUPS, "peer": ("peer", "PostgreSQL", "sandbox")}[name]
    return [cell.cpu_each(*groups) for cell in cells[name, 8]]


def rates(cells: Cells, name: str, control: str, in_flight: int) -> Spread:
    """Operations a second as a ratio, round by round."""
    return ratios(
        [cell.rate for cell in cells[name, in_flight]],
        [cell.rate for cell in cells[control, in_flight]],
    )


def latencies(cells: Cells, name: str, control: str, in_flight: int, percent: float) -> Spread:
    """A percentile as a ratio, round by round."""
    ours, theirs = (
        [percentile(cell.latencies, percent) for cell in cells[one, in_flight]]
        for one in (name, control)
    )
    return ratios(ours, theirs)


def tails(cells: Cells, name: str, control: str, in_flight: int, percent: float) -> Spread:
    """A high percentile as a ratio, over all rounds together: one round has too few for it."""
    ours, theirs = (
        percentile(
            [latency for cell in cells[one, in_flight] for latency in cell.latencies], percent
        )
        for one in (name, control)
    )
    of_rounds = latencies(cells, name, control, in_flight, percent)
    return Spread(ours / theirs, of_rounds.low, of_rounds.high)


def cpu_by_group(cells: list[Cell]) -> dict[str, float]:
    """CPU milliseconds of one operation, by what used them: the median over the rounds."""
    return {
        group: round(spread([cell.cpu_each(group) for cell in cells]).value, 3)
        for group in cells[0].cpu
    }


def series(cells: Cells) -> list[dict[str, Any]]:
    """What the plots need: for each subject and level the rates and all latencies in ms."""
    return [
        {
            "subject": name,
            "in_flight": in_flight,
            "rates": [round(cell.rate, 2) for cell in found],
            "latencies_ms": sorted(
                round(1000 * latency, 1) for cell in found for latency in cell.latencies
            ),
        }
        for (name, in_flight), found in cells.items()
    ]
