"""What a worker does beside its work: sealing the ledger, off the path of every payment."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.domain.failures import InvariantBroken
from recompense.persistence.sealer import seal_once, snapshot_once

log = structlog.get_logger("recompense.upkeep")

SNAPSHOT_SECONDS = 60.0
_PATIENCE = text("SET LOCAL statement_timeout = '60s'")
"""A snapshot reads all that came since the last one: after a long outage that takes its time, and a
snapshot that were cut off would have more to read the next time.
"""


async def keep_sealing(engine: AsyncEngine, interval_seconds: float) -> None:
    """Seal what has been committed, again and again. Any number of workers may: one at a time does
    it.

    A database that does not answer is tried again at the next turn: seals wait, nothing is lost.
    """
    since_snapshot = 0.0
    while True:
        await asyncio.sleep(interval_seconds)
        since_snapshot += interval_seconds
        try:
            async with engine.begin() as connection:
                await seal_once(connection)
            if since_snapshot >= SNAPSHOT_SECONDS:
                since_snapshot = 0.0
                async with engine.begin() as connection:
                    await connection.execute(_PATIENCE)
                    await snapshot_once(connection)
        except (SQLAlchemyError, OSError, InvariantBroken) as error:
            log.warning("sealing has to wait", error=type(error).__name__)
