"""The cases that once failed, or that stand for a rule: played before anything else."""

from __future__ import annotations

import pytest

from tests.simulation.cases import case_of, play
from tests.simulation.corpus import kept


@pytest.mark.parametrize("name", kept())
def test_kept_case_played_again_keeps_every_invariant(name: str) -> None:
    outcome = play(case_of(name))
    assert outcome.wrong == []
    assert outcome.fired, "the fault was not seen to fire"
