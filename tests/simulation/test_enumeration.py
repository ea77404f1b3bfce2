"""Every scene, every fault, every disturbance at every point: a part here, all in a soak."""

from __future__ import annotations

import pytest

from tests.simulation.cases import case_of
from tests.simulation.corpus import keep, still_open
from tests.simulation.run import shard
from tests.simulation.shrinking import shrunk
from tests.support.census import SOAK

CASES = 0 if SOAK else 6_000
"""How many are played; 0 is all there are."""
SHARDS = 16
FAULTS = 20
SEEN_TO_FIRE = 0.9
"""The first trouble of a pair may keep the second from happening: such a case does not count."""


@pytest.mark.timeout(0 if CASES == 0 else 300)
@pytest.mark.parametrize("part", range(SHARDS))
def test_enumerated_cases_keep_every_invariant(part: int) -> None:
    tally = shard(part, SHARDS, CASES)
    found = []
    for name, words in tally.failures:
        small = str(shrunk(case_of(name)))
        if small in still_open():
            continue
        keep(small, words)
        found.append(f"python -m tests.simulation.run --case '{small}'   {words}")
    assert not found, "\n".join(found)
    assert tally.counted >= SEEN_TO_FIRE * tally.played
    assert len(tally.by_fault) > FAULTS
