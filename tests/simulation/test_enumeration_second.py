"""Every scene, every fault, every disturbance at every point: the second half of the parts."""

from __future__ import annotations

import pytest

from tests.simulation.selection import SECOND, SECONDS, play_part


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("part", SECOND)
def test_enumerated_cases_keep_every_invariant(part: int) -> None:
    play_part(part)
