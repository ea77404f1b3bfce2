"""The watch over the database, as gauges: asked when somebody scrapes, and no more often than it
costs nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from adapters.shadow import SAME
from recompense.observability import ShadowMetrics, WatchMetrics, WebhookMetrics
from recompense.persistence import shadow_readings
from recompense.persistence.database import Database
from recompense.persistence.deliveries import tallies
from recompense.persistence.watch import Observation, observe, watches

_LONGEST_SECONDS = 5.0
"""A scrape is answered within it, whatever the database does."""


class Watching:
    """Refreshes the gauges. Several scrapes at once cost one round of questions."""

    def __init__(
        self, metrics: WatchMetrics, webhooks: WebhookMetrics, shadows: ShadowMetrics
    ) -> None:
        self._metrics = metrics
        self._webhooks = webhooks
        self._shadows = shadows
        self._asking = asyncio.Lock()
        self._asked_at: float | None = None

    async def refresh(
        self, database: Database, *, interval_seconds: float, stuck_after_seconds: float
    ) -> None:
        """Ask all watches, unless they were asked within the interval.

        One after the other: the watch takes one connection, whatever else is going on.
        """
        async with self._asking:
            if self._asked_at is not None and monotonic() - self._asked_at < interval_seconds:
                return
            asked = watches(stuck_after_seconds)
            found = {watch: Observation(watch, answered=False) for watch in asked}
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SECONDS):
                    for watch in asked:
                        found[watch] = await observe(database.engine, watch)
                    with suppress(SQLAlchemyError, OSError):
                        async with database.engine.connect() as connection:
                            self._webhooks.tries = await tallies(connection)
                            self._shadows.answers = await shadow_readings.tallies(connection, SAME)
            for observation in found.values():
                self._show(observation)
            self._asked_at = monotonic()

    def _show(self, observation: Observation) -> None:
        name = observation.watch.name
        self._metrics.answered.labels(name).set(observation.answered)
        if observation.answered:
            self._metrics.found.labels(name).set(observation.found)
            self._metrics.oldest_seconds.labels(name).set(observation.oldest_seconds)
            self._metrics.wrong.labels(name).set(observation.wrong)
