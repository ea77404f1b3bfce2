"""Virtual time: what is due next happens now, and nothing else moves the clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Stuck(AssertionError):
    """More happened than any case needs: something goes round in circles."""


class Clock:
    """A clock and what is due on it. Things due at the same moment happen in the order in which
    they were asked for.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._asked = 0

    def now(self) -> datetime:
        """The moment, UTC."""
        return EPOCH + timedelta(seconds=self.seconds)

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        self._asked += 1
        heapq.heappush(self._due, (self.seconds + max(seconds, 0.0), self._asked, happens))

    def run(self, *, most: int = 4000) -> None:
        """Let everything happen that is due, until nothing is. Raises `Stuck` past `most`."""
        for _ in range(most):
            if not self._due:
                return
            self.seconds, _asked, happens = heapq.heappop(self._due)
            happens()
        raise Stuck(f"{most} things happened and there is more")
