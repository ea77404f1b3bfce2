"""Planted defects, each with the case that catches it.

A tier that catches no mutant is not doing its work. Run as a program it looks for a case that
catches each: `python -m tests.simulation.mutants [name ...]`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.simulation.cases import play
from tests.simulation.enumeration import PAIRS_FROM, ROUND, case_numbered
from tests.simulation.mutations import effects, operations, sagas

LOOKS = 1500

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """A defect: how it is planted, the rule of `effects.md` that it breaks, and who catches it."""

    plant: Plant
    breaks: str
    caught_by: str


MUTANTS: dict[str, Mutant] = {}


def main() -> None:
    """Find a case that catches each named mutant, or all."""
    named = sys.argv[1:] or list(ALL)
    for name in named:
        sys.stdout.write(f"{name}: {_catcher(ALL[name])}\n")
        sys.stdout.flush()


def _catcher(plant: Plant) -> str:
    with pytest.MonkeyPatch.context() as patch:
        chance = random.Random(LOOKS)  # noqa: S311 - a search is to be repeatable, not secret
        numbers = [chance.randrange(ROUND, 60 * ROUND) for _ in range(LOOKS)]
        numbers += range(PAIRS_FROM, PAIRS_FROM + LOOKS // 2)
        cases = [case_numbered(number) for number in [*range(0, ROUND, 5), *numbers]]
        plant(patch)
        for case in cases:
            outcome = play(case)
            if outcome.wrong:
                return f"{case}   {outcome.wrong[0]}"
    return "NOT CAUGHT"


ALL: dict[str, Plant] = {
    **{name: plant for name, plant in vars(effects).items() if name.startswith("m_")},
    **{name: plant for name, plant in vars(operations).items() if name.startswith("m_")},
    **{name: plant for name, plant in vars(sagas).items() if name.startswith("m_")},
}


if __name__ == "__main__":
    main()
