"""Play cases from the command line: `python -m tests.simulation.run --case <name>`, or many.

Without a case it plays `--count` cases (0: all) on `--processes` processes and shows what came of
it. A failing case is shrunk, and its name is printed.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.cases import Case, Outcome, case_of, play
from tests.simulation.enumeration import case_numbered, group_of, outcome_of, selected
from tests.simulation.shrinking import shrunk

COLLECT_EVERY = 100


@dataclass
class Tally:
    """What a part of the cases came to."""

    played: int = 0
    counted: int = 0
    effects: int = 0
    replays: int = 0
    asked_people: int = 0
    by_fault: Counter[str] = field(default_factory=Counter)
    by_disturbance: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a case. One whose fault was not seen to fire is played and does not count."""
        self.played += 1
        if outcome.wrong:
            self.failures.append((str(outcome.case), outcome.wrong[0]))
        if not outcome.fired:
            return
        self.counted += 1
        self.effects += outcome.effects
        self.replays += outcome.replays
        self.asked_people += outcome.asked_people
        self.by_fault.update({fault.kind for fault in outcome.case.faults} or {"none"})
        self.by_disturbance.update({d.kind for d in outcome.case.disturbances} or {"none"})

    def plus(self, other: Tally) -> None:
        """Take another part in."""
        self.played += other.played
        self.counted += other.counted
        self.effects += other.effects
        self.replays += other.replays
        self.asked_people += other.asked_people
        self.by_fault.update(other.by_fault)
        self.by_disturbance.update(other.by_disturbance)
        self.failures += other.failures


def played(cases: Iterator[Case]) -> Tally:
    """Play cases, one after the other."""
    tally = Tally()
    # Every case leaves cycles behind (coroutines, instances), and nothing that lives long: one
    # collection for many of them costs a third less.
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for case in cases:
            tally.add(outcome_of(case))
            if tally.played % COLLECT_EVERY == 0:
                gc.collect()
    finally:
        gc.enable()
    return tally


def shard(part: int, of: int, count: int) -> Tally:
    """Play one part of the selected cases: whole groups, so that each is sounded by one process."""
    numbers = [number for number in selected(count) if group_of(number) % of == part]
    return played(map(case_numbered, numbers))


def main() -> int:
    """Play, and say what failed. Returns 1 when something did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="one case, by its name")
    parser.add_argument("--count", type=int, default=20_000, help="how many; 0: all")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    if asked.case:
        return _one(asked.case)
    started = time.perf_counter()
    tally = Tally()
    parts, count = asked.processes, asked.count
    # Not a `Pool`: that one waits for ever for the work of a process that was killed.
    with ProcessPoolExecutor(parts, mp_context=get_context("spawn")) as pool:
        for result in pool.map(shard, range(parts), [parts] * parts, [count] * parts):
            tally.plus(result)
    _show(tally, time.perf_counter() - started)
    return 1 if tally.failures else 0


def _one(name: str) -> int:
    outcome = play(case_of(name))
    _say(f"{name}: {'fired' if outcome.fired else 'did NOT fire'}")
    for words in outcome.wrong:
        _say(f"  {words}")
    return 1 if outcome.wrong else 0


def _show(tally: Tally, seconds: float) -> None:
    _say(f"{tally.counted} cases of {tally.played} played in {seconds:.0f} s")
    _say(f"effects {tally.effects}, replays {tally.replays}, people asked {tally.asked_people}")
    _say(f"by fault: {dict(tally.by_fault.most_common())}")
    _say(f"by disturbance: {dict(tally.by_disturbance.most_common())}")
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, words in tally.failures:
        kinds.setdefault(f"{name.split('/')[0]}: {words.split(':')[0]}", []).append((name, words))
    for kind, found in kinds.items():
        _say(f"{len(found)} x {kind}")
        small = shrunk(case_of(found[0][0]))
        _say(f"    {found[0][1]}\n    --case '{small}'")
    _say("failures: none" if not tally.failures else f"failures: {len(tally.failures)}")


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")


if __name__ == "__main__":
    sys.exit(main())
