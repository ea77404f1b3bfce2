"""When tries are made: soon at first, for three days, never all at once."""

from __future__ import annotations

from itertools import accumulate, takewhile

from recompense.webhooks.schedule import (
    JITTER,
    LONGEST_DELAY_SECONDS,
    SERIES_SECONDS,
    delay_seconds,
)

HOUR = 3600


def _moments() -> list[float]:
    """When the tries of one series are made, by drawn delays."""
    delays = (delay_seconds(tries) for tries in range(1, 100))
    return [0.0, *takewhile(lambda moment: moment < SERIES_SECONDS, accumulate(delays))]


def test_first_retry_comes_after_a_second() -> None:
    assert all(1 <= delay_seconds(1) <= 1 + JITTER for _ in range(100))


def test_first_hour_has_eight_tries_or_more_and_the_third_day_still_some() -> None:
    moments = _moments()
    assert sum(moment < HOUR for moment in moments) >= 8
    assert any(moment > 2 * 24 * HOUR for moment in moments)
    assert len(moments) < 40


def test_delays_grow_and_stay_below_the_longest() -> None:
    lowest = [delay_seconds(tries) / (1 + JITTER) for tries in range(1, 200)]
    assert max(lowest) <= LONGEST_DELAY_SECONDS
    assert delay_seconds(10) > delay_seconds(9) / (1 + JITTER)
    assert delay_seconds(10_000) >= LONGEST_DELAY_SECONDS


def test_delays_differ_so_that_tries_do_not_come_in_waves() -> None:
    assert len({delay_seconds(5) for _ in range(20)}) > 10


def test_receivers_wish_counts_where_it_is_longer_and_not_for_ever() -> None:
    assert delay_seconds(1, 120) >= 120
    assert delay_seconds(8, 1) >= 128
    assert delay_seconds(1, 10**9) <= LONGEST_DELAY_SECONDS * (1 + JITTER)
    assert delay_seconds(1, 0) >= 1
