"""Percentiles and ratios: what every figure of the benchmarks is made of."""

from __future__ import annotations

import pytest

from benchmarks.statistics import Spread, percentile, ratios, spread


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (100, 100)]
)
def test_percentile_of_a_hundred_values_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_spread_is_the_median_between_the_extremes() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_ratios_are_taken_within_a_round() -> None:
    """A slow machine in the second round halves both, and changes no ratio."""
    assert ratios([8.0, 4.0, 8.0], [10.0, 5.0, 10.0]) == Spread(0.8, 0.8, 0.8)


def test_ratios_of_different_numbers_of_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])
