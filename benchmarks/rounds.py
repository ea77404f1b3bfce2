"""Interleaved rounds: in each, every subject at every number in flight, the order turned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from benchmarks.load import Ask, Cell, closed_loop

Cells = Mapping[tuple[str, int], list[Cell]]
"""The cells of each subject and number in flight, a round after the other."""

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
                cell = await closed_loop(asks[name], in_flight, seconds, groups)
                cells[name, in_flight].append(cell)
    return cells


async def warm_up(asks: Mapping[str, Ask], told: Told, seconds: float = 1.5) -> None:
    """Let every subject fill its pools and caches, unmeasured."""
    for name, ask in asks.items():
        told(f"warming up: {name}")
        await closed_loop(ask, 8, seconds, {})
