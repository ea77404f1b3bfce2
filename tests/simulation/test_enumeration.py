"""Every scene, every fault, every disturbance at every point: a selection here, all of it in a soak.

`RECOMPENSE_SIMULATION_CASES` says how many; 0 plays all there are.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.cases import case_of
from tests.simulation.corpus import keep
from tests.simulation.enumeration import GROUPS
from tests.simulation.run import shard
from tests.simulation.shrinking import shrunk

CASES = int(os.environ.get("RECOMPENSE_SIMULATION_CASES", "21500"))
SHARDS = 16
SEEN_TO_FIRE = 0.9
"""A pair's first trouble may keep its second from happening: such a case is played and not counted."""


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
    assert set(tally.by_fault) >= {fault.kind for _, faults in GROUPS[part::SHARDS] for fault in faults}
