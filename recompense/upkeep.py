"""What a worker does beside its work: sealing the ledger and delivering webhooks, off the path of
every payment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.domain.failures import InvariantBroken
from recompense.persistence.database import Database
from recompense.persistence.sealer import seal_once, snapshot_once
from recompense.vault import Vault
from recompense.webhooks.courier import DATABASE_TURNS, Courier
from recompense.webhooks.sending import Sender

if TYPE_CHECKING:
    from recompense.settings import Settings

log = structlog.get_logger("recompense.upkeep")

SNAPSHOT_SECONDS = 60.0
_PATIENCE = text("SET LOCAL statement_timeout = '60s'")
"""A round of snapshots that were cut off would be begun again, for ever."""


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
                while await _snapshots_taken(engine):
                    pass
        except (SQLAlchemyError, OSError, InvariantBroken) as error:
            log.warning("sealing has to wait", error=type(error).__name__)


async def _snapshots_taken(engine: AsyncEngine) -> bool:
    async with engine.begin() as connection:
        await connection.execute(_PATIENCE)
        return await snapshot_once(connection) > 0


@asynccontextmanager
async def upkeep(
    settings: Settings, engine: AsyncEngine, stop: asyncio.Event
) -> AsyncIterator[None]:
    """Seal and deliver until the block is left; the courier begins nothing new once `stop` is set,
    and what it has begun is waited for.
    """
    async with AsyncExitStack() as stack:
        sealing = asyncio.create_task(keep_sealing(engine, settings.seal_interval_seconds))
        stack.callback(sealing.cancel)
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=DATABASE_TURNS,
            statement_timeout_seconds=settings.statement_timeout_seconds,
            application_name="recompense-courier",
        )
        stack.push_async_callback(database.close)
        sender = Sender(allow_private=settings.webhook_allow_private_targets)
        stack.push_async_callback(sender.aclose)
        courier = Courier(database, Vault(settings.payload_keys), sender)
        delivering = asyncio.create_task(courier.run(stop))
        # A worker that delivers nothing any more is no worker: it drains, and is started again.
        delivering.add_done_callback(lambda _: stop.set())
        try:
            yield
        finally:
            stop.set()
            await delivering
