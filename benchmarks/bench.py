"""What every part is handed: how thorough to be, whom to tell, and where to put what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bars import Reading
from benchmarks.results import Result
from benchmarks.statistics import Spread


@dataclass(frozen=True)
class Sizes:
    """How much is filled in: payments of `growth`, items of `runs`, lines of `reconcile`."""

    payments: int
    items: int
    lines: int


OF_THE_BARS = Sizes(payments=1_000_000, items=10_000, lines=1_000_000)
"""What the bars are for: a part that is asked for by its name is measured so."""
OF_THE_WHOLE = Sizes(payments=100_000, items=300, lines=100_000)
"""What ten minutes leave time for, all parts together."""


@dataclass(frozen=True)
class Bench:
    """One run of the benchmarks, as its parts see it.

    `few_rounds`: those of a part whose subjects have to be started anew in each.
    """

    result: Result
    rounds: int
    few_rounds: int
    seconds: float
    sizes: Sizes
    told: Callable[[str], None]

    def note(
        self, key: str, value: float | Spread, note: str = "", *, smaller: bool = False
    ) -> None:
        """Keep a figure; `smaller`: measured with less than its bar is for."""
        if isinstance(value, Spread):
            self.result.readings.append(
                Reading(key, value.value, value.low, value.high, note, smaller)
            )
        else:
            self.result.readings.append(Reading(key, value, note=note, smaller=smaller))
