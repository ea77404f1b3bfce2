"""The smallest case that still fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from tests.simulation.cases import Case, play

_T = TypeVar("_T")


def shrunk(case: Case) -> Case:
    """Leave out what is not needed for the case to fail, and move what is needed forward."""
    smaller = next((less for less in _less(case) if play(less).wrong), None)
    return case if smaller is None else shrunk(smaller)


def _less(case: Case) -> Iterator[Case]:
    if case.seed != 1:
        yield replace(case, seed=1)
    for index in range(len(case.disturbances)):
        yield replace(case, disturbances=_without(case.disturbances, index))
    for index in range(len(case.faults)):
        yield replace(case, faults=_without(case.faults, index))
    for index, fault in enumerate(case.faults):
        if fault.times > 1:
            once = (*case.faults[:index], replace(fault, times=1), *case.faults[index + 1 :])
            yield replace(case, faults=once)


def _without(items: tuple[_T, ...], index: int) -> tuple[_T, ...]:
    return items[:index] + items[index + 1 :]
