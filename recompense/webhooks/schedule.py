"""When a delivery that was not taken is tried again, and when it is given up."""

from __future__ import annotations

from random import SystemRandom

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 6 * 3600.0
JITTER = 0.25
"""By how much of itself a delay is drawn out at most, so that tries do not come in waves."""
SERIES_SECONDS = 3 * 86_400.0
"""A series of tries ends three days after its first one."""

_DOUBLINGS = 15
"""After so many the longest delay has been passed."""

_random = SystemRandom()


def delay_seconds(tries: int, asked_seconds: float | None = None) -> float:
    """How long to wait after so many tries (one or more) that were not taken.

    The delays double from a second to six hours: twelve tries fit into the first hour. What the
    receiver has asked for by `Retry-After` counts where it is longer, up to the longest delay.
    """
    doubled = FIRST_DELAY_SECONDS * (1 << min(tries - 1, _DOUBLINGS))
    wanted = max(doubled, asked_seconds or 0.0)
    return min(wanted, LONGEST_DELAY_SECONDS) * (1 + JITTER * _random.random())
