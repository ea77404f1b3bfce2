"""Which of the enumerated cases a run plays, and what it asks of them."""

from __future__ import annotations

from tests.simulation.cases import case_of
from tests.simulation.corpus import keep
from tests.simulation.invariants import INVARIANTS
from tests.simulation.run import Tally, shard
from tests.simulation.shrinking import shrunk
from tests.support.census import SOAK, count

CASES = 0 if SOAK else 21_500
"""How many are played, so that 20,000 count; 0 is all there are."""
SHARDS = 16
SECONDS = 0 if SOAK else 600
FIRST, SECOND = range(SHARDS // 2), range(SHARDS // 2, SHARDS)
"""Two files of tests take half the parts each: files are what test processes share out."""
FAULTS = 20
SEEN_TO_FIRE = 0.9
"""The first trouble of a pair may keep the second from happening: such a case does not count."""


def play_part(part: int) -> None:
    """Play one part of the cases; a failing one is shrunk, kept and named."""
    tally = shard(part, SHARDS, CASES)
    found = []
    for name, words in tally.failures:
        small = str(shrunk(case_of(name)))
        keep(small, words)
        found.append(f"python -m tests.simulation.run --case '{small}'   {words}")
    assert not found, "\n".join(found)
    assert tally.counted >= SEEN_TO_FIRE * tally.played
    assert len(tally.by_fault) > FAULTS
    _note(tally)


def _note(tally: Tally) -> None:
    """Tell the census what this part has covered."""
    for kind, cases in tally.by_fault.items():
        count("cases by fault", f"simulated: {kind}", cases)
    for kind, cases in tally.by_disturbance.items():
        count("cases by disturbance", f"simulated: {kind}", cases)
    count("simulated cases", "counted: each fault was seen to fire", tally.counted)
    count("simulated cases", "did not count", tally.played - tally.counted)
    count("simulated cases", "histories replayed after a crash", tally.replays)
    count("effects counted", "simulation", tally.effects)
    count("invariants checked", "simulation", tally.played * len(INVARIANTS))
