"""What a worker keeps of its shadows' readings: counted in memory, written every few seconds, off
the path of every payment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.registration import Provider
from adapters.registry import Providers
from adapters.shadow import SAME, NotAShadow, ShadowReport, with_shadow
from recompense.persistence.shadow_readings import Reading, add

log = structlog.get_logger("recompense.shadow")

INTERVAL_SECONDS = 2.0


class ShadowReadings:
    """Counts readings until they are written. Nothing here fails a call."""

    def __init__(self) -> None:
        self._counted: dict[Reading, tuple[int, str]] = {}

    def note(self, report: ShadowReport) -> None:
        """Count one, and log it where the two differ."""
        reading = Reading(report.live, report.candidate, report.operation.value, report.difference)
        times, _ = self._counted.get(reading, (0, ""))
        self._counted[reading] = (times + 1, report.effect_key)
        if report.difference != SAME:
            log.warning("a shadow differs", effect_key=report.effect_key, **reading._asdict())

    async def write(self, engine: AsyncEngine) -> None:
        """Write what was counted. Where the database does not answer, it is counted on."""
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            await add(engine, counted)
        except (SQLAlchemyError, OSError) as error:
            log.warning("the shadows' readings have to wait", error=type(error).__name__)
            for reading, (times, effect_key) in counted.items():
                since, key = self._counted.get(reading, (0, effect_key))
                self._counted[reading] = (since + times, key)

    async def keep_writing(self, engine: AsyncEngine) -> None:
        """Write again and again."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.write(engine)


def shadowed(
    providers: Mapping[str, Provider],
    shadows: Mapping[str, str],
    configs: Mapping[str, Mapping[str, Any]],
    readings: ShadowReadings,
) -> Providers:
    """The providers, those of `shadows` with their candidates beside them.

    A candidate without a configuration of its own takes the live one's. Raises as `with_shadow`.
    """
    for live in shadows:
        if live not in providers:
            raise NotAShadow(f"{live} is shadowed, and is not served")
    beside = {
        live: with_shadow(
            providers[live], candidate, configs.get(candidate) or configs[live], readings.note
        )
        for live, candidate in shadows.items()
    }
    return Providers({**providers, **beside}.values())
