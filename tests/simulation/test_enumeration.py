"""Every scene, every fault, every disturbance at every point: a part here, all in a soak.

`RECOMPENSE_SIMULATION_CASES` says how many; 0 plays all there are.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.cases import case_of
from tests.simulation.corpus import keep
from tests.simulation.run import shard
from tests.simulation.shrinking import shrunk

CASES = int(os.environ.get("RECOMPENSE_SIMULATION_CASES", "21500"))
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
        keep(small, words)
        found.append(f"python -m tests.simulation.run --case '{small}'   {words}")
    assert not found, "\n".join(found)
    assert tally.counted >= SEEN_TO_FIRE * tally.played
    assert len(tally.by_fault) > FAULTS
