"""`kill -9` of any part during a burst of mixed operations: nothing acknowledged is lost, nothing
doubled, no person needed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.burst import Burst
from tests.support.census import SOAK, count
from tests.support.stack import TestStack, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, quiet

PARTS = ["workers", "api", "temporal", "postgres", "sandbox"]
SOAK_ROUNDS = 4
"""Each round has a seed of its own for each part."""


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    """One stack for all crashes: what one has left behind must not hurt the next."""
    with stack_of_its_own() as running:
        running.up()
        yield running


@pytest.mark.parametrize("round_", range(SOAK_ROUNDS if SOAK else 1))
@pytest.mark.parametrize("part", PARTS)
async def test_killed_part_loses_and_doubles_nothing(
    stack: TestStack, part: str, round_: int
) -> None:
    burst = Burst(stack, seed=round_ * len(PARTS) + PARTS.index(part))
    running = asyncio.create_task(burst.run())
    await burst.a_quarter_done(running)
    victims = _pids(stack, part)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    await running
    assert set(_pids(stack, part)).isdisjoint(victims), "nobody died: the case proves nothing"
    assert burst.ended_well
    await quiet(stack)
    await assert_nothing_lost_or_doubled(stack, burst.acknowledged)
    count("cases by fault", f"kill -9 of {part} during a burst")


def _pids(stack: TestStack, part: str) -> list[int]:
    pids = stack.file()["pids"][part]
    return list(pids) if isinstance(pids, list) else [pids]
