"""Every planted defect is caught by the case that is named for it, and by no accident: without the
defect that case passes.
"""

from __future__ import annotations

import pytest

from tests.simulation.cases import case_of, play
from tests.simulation.mutants import MUTANTS
from tests.support.census import count


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_defect_breaks_an_invariant_in_its_case(name: str) -> None:
    mutant = MUTANTS[name]
    sound = play(case_of(mutant.caught_by))
    assert sound.wrong == []
    with pytest.MonkeyPatch.context() as patch:
        mutant.plant(patch)
        assert play(case_of(mutant.caught_by)).wrong, mutant.plant.__doc__
    count("mutants caught", f"{name} by {mutant.caught_by}")


def test_list_of_planted_defects_is_long_enough() -> None:
    assert len(MUTANTS) >= 30
