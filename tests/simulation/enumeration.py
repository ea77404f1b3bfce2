"""All cases: every fault of every call of every scene, and every disturbance at every point.

Where the points are is found by playing the case without a disturbance first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from tests.simulation.cases import Case, Outcome, play
from tests.simulation.disturbances import (
    ANYWHERE,
    AT_COMMIT,
    AT_TASK,
    Disturbance,
)
from tests.simulation.provider import LOOKUP
from tests.simulation.provider_log import Fault
from tests.simulation.scenes import SCENES

MONEY_FAULTS = (
    *(f"F{number}" for number in range(1, 19)),
    "F19",
    "F20",
    "late",
    "slow",
)
FOR_EVER = 99
LASTING = ("F1", "F2", "F6", "F9", "F10")
LOOKUP_FAULTS = ("F1", "F2", "F4", "F6", "F9", "F12", "F16", "invisible")
MOST_POINTS = 12


@cache
def faults_of(scene_name: str) -> tuple[tuple[Fault, ...], ...]:
    """Every way in which the provider can fail this scene; first of all, none."""
    found: list[tuple[Fault, ...]] = [()]
    for call in SCENES[scene_name].calls:
        found += [(Fault(kind, call),) for kind in MONEY_FAULTS]
        found += [(Fault(kind, call, 1, 2),) for kind in ("F2", "F3", "F9")]
        found += [(Fault(kind, call, 1, FOR_EVER),) for kind in LASTING]
        # The last try of the series is the one that lands late.
        found += [(Fault("F1", call, 1, 3), Fault(kind, call, 4)) for kind in ("slow", "astray")]
        for kind in LOOKUP_FAULTS:
            found.append((Fault("F3", call), Fault(kind, LOOKUP)))
            found.append((Fault("F2", call), Fault(kind, LOOKUP, 1, 3)))
        found += [(Fault("F3", call), Fault(kind, LOOKUP, 1, FOR_EVER)) for kind in ("F2", "F16")]
    return tuple(found)


@cache
def undisturbed(scene_name: str, faults: tuple[Fault, ...]) -> Outcome:
    """The case without a disturbance: it tells where the points are."""
    return play(Case(scene_name, faults))


def outcome_of(case: Case) -> Outcome:
    """Play a case, or remember how it went where it was played as the start of its group."""
    if case.seed == 1 and not case.disturbances:
        return undisturbed(case.scene, case.faults)
    return play(case)


@cache
def disturbances_of(scene_name: str, faults: tuple[Fault, ...]) -> tuple[Disturbance, ...]:
    """Every disturbance at every point of a scene with its faults."""
    seen = undisturbed(scene_name, faults)
    found: list[Disturbance] = []
    for point in _points(seen.commits):
        found += [Disturbance(kind, point) for kind in AT_COMMIT]
    found += [Disturbance("crash_task", point) for point in _points(seen.tasks)]
    for point in _points(seen.main_tasks):
        found += [Disturbance(kind, point) for kind in AT_TASK if kind != "crash_task"]
        found += [Disturbance("reset", point, kept) for kept in range(point)]
        found.append(Disturbance("reset_twice", point, point - 1))
    for point in _points(seen.calls):
        found.append(Disturbance("lose_try", point))
    found += [Disturbance("crash_sending", point) for point in _points(seen.sent)]
    found += [Disturbance("crash_sent", point) for point in _points(seen.reached)]
    found += [Disturbance("reset_late", 0, kept) for kept in range(min(seen.main_tasks, 6))]
    calls = SCENES[scene_name].calls
    found += [d for d in ANYWHERE if calls or d.kind not in {"still", "behind"}]
    return tuple(found)


def _points(count: int, *, first: int = 1) -> Iterator[int]:
    """The points of one kind; the middle of a long wait repeats itself, and is left out."""
    if count <= MOST_POINTS:
        yield from range(first, count + 1)
    else:
        yield from range(first, MOST_POINTS - 2)
        yield from range(count - 2, count + 1)


def pair(seed: int) -> Case:
    """Two faults or one, and two disturbances, by a seed."""
    chance, scene_name, faults = _drawn(seed)
    if chance.random() < 0.5:
        more = chance.choice(faults_of(scene_name))
        kinds = {(fault.call, fault.nth) for fault in faults}
        faults += tuple(fault for fault in more if (fault.call, fault.nth) not in kinds)
    points = disturbances_of(scene_name, faults)
    troubles = tuple(dict.fromkeys(chance.choice(points) for _ in range(2)))
    return Case(scene_name, faults, troubles, seed)


def _drawn(seed: int) -> tuple[random.Random, str, tuple[Fault, ...]]:
    """What a pair begins with, and the chance that picks the rest of it."""
    chance = random.Random(seed)  # noqa: S311 - a case is to be repeatable, not secret
    scene_name = chance.choice(list(SCENES))
    return chance, scene_name, chance.choice(faults_of(scene_name))


# Cases by number. Playing every (scene, faults) first, to see where its points are, would cost more
# than a small selection of cases does: a number picks its point when it is played.

GROUPS: tuple[tuple[str, tuple[Fault, ...]], ...] = tuple(
    (scene_name, faults) for scene_name in SCENES for faults in faults_of(scene_name)
)
PAIRS_FROM = 10_000_000
"""Numbers from here on are pairs, by seed."""
PAIRS_SHARE = 4
"""One case in so many is a pair."""
ROUND = len(GROUPS)
_PLACES = {group: place for place, group in enumerate(GROUPS)}


def case_numbered(number: int) -> Case:
    """The n-th case: every group of (scene, faults) in turn, each round at its next disturbance."""
    if number >= PAIRS_FROM:
        return pair(number)
    turn, group = divmod(number, ROUND)
    scene_name, faults = GROUPS[group]
    troubles = disturbances_of(scene_name, faults)
    if turn == 0 or not undisturbed(scene_name, faults).fired:
        return Case(scene_name, faults)
    # A stride that no count of points divides spreads few rounds over all points of a group.
    return Case(scene_name, faults, (troubles[(turn - 1) * STRIDE % len(troubles)],))


@cache
def group_of(number: int) -> int:
    """The group that a case belongs to: who plays one group plays the start of it once."""
    if number < PAIRS_FROM:
        return number % ROUND
    _chance, scene_name, faults = _drawn(number)
    return _PLACES[scene_name, faults]


STRIDE = 7919


def selected(count: int) -> list[int]:
    """The numbers of so many cases: singles, and one pair in `PAIRS_SHARE`. 0: all singles there
    are, and as many pairs as a quarter of them.
    """
    if count == 0:
        most = max(len(disturbances_of(*group)) for group in GROUPS)
        singles = [
            turn * ROUND + number
            for number, group in enumerate(GROUPS)
            for turn in range(min(most, len(disturbances_of(*group))) + 1)
        ]
        return singles + list(range(PAIRS_FROM, PAIRS_FROM + len(singles) // PAIRS_SHARE))
    pairs = count // PAIRS_SHARE
    return list(range(count - pairs)) + list(range(PAIRS_FROM, PAIRS_FROM + pairs))
