"""Interleaved rounds: in each, every subject at every number in flight, the order turned."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from benchmarks.load import Ask, Cell, closed_loop

Cells = Mapping[tuple[str, int], list[Cell]]
"""The cells of each subject and number in flight, a round after the other."""

PAUSE_SECONDS = 3.0

Told = Callable[[str], None]
"""Hears what is measured now."""


def order(names: Sequence[str], turn: int) -> list[str]:
    """The names, begun at another one each round, so that nobody always comes first."""
    start = turn % len(names)
    return [*names[start:], *names[:start]]


async def interleaved(
    asks: Mapping[str, Ask],
    levels: Sequence[int],
    *,
    rounds: int,
    seconds: float,
    groups: dict[str, list[int]],
    told: Told,
) -> Cells:
    """Measure every subject at every level in each round."""
    cells: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    for turn in range(rounds):
        for in_flight in levels:
            for name in order(list(asks), turn):
                told(f"round {turn + 1} of {rounds}: {name}, {in_flight} in flight")
                cell = await patiently(asks[name], in_flight, seconds, groups, told)
                cells[name, in_flight].append(cell)
    return cells


async def patiently(
    ask: Ask, in_flight: int, seconds: float, groups: dict[str, list[int]], told: Told
) -> Cell:
    """Measure, and once more when an operation failed: a busy machine may starve a server.

    Nothing of a measurement with a failure in it is kept; a second failure ends the part.
    """
    try:
        return await closed_loop(ask, in_flight, seconds, groups)
    except ExceptionGroup as failures:
        told(f"once more, for an operation failed: {failures.exceptions[0]}")
        await asyncio.sleep(PAUSE_SECONDS)
        return await closed_loop(ask, in_flight, seconds, groups)


async def warm_up(asks: Mapping[str, Ask], told: Told, seconds: float = 1.5) -> None:
    """Let every subject fill its pools and caches, unmeasured."""
    for name, ask in asks.items():
        told(f"warming up: {name}")
        await closed_loop(ask, 8, seconds, {})
