"""The courier: hands committed events out to endpoints, and tries each delivery until it is taken.

It runs beside the sealer in every worker process, and may die at any point. A delivery that was
claimed and not recorded is due again when its lease runs out, and goes out under the same id.
Nothing is sent inside a transaction.

Each endpoint is served by a round of its own, so a slow one holds up nobody else. Rounds of failing
endpoints have places of their own: however many there are, the others find room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.events import EventView
from recompense.persistence import deliveries, webhooks
from recompense.persistence.database import Database
from recompense.persistence.deliveries import Claimed, DueEndpoint
from recompense.vault import Unopenable, Vault
from recompense.webhooks.schedule import SERIES_SECONDS, delay_seconds
from recompense.webhooks.sending import DEADLINE_SECONDS, Outcome, Result
from recompense.webhooks.signing import headers_for

DATABASE_TURNS = 3
"""Transactions of the courier at once, on connections of its own: sagas keep theirs."""

log = structlog.get_logger("recompense.courier")


@dataclass(frozen=True)
class Pace:
    """How fast a courier works. A lease outlasts a try: what it covers is under way, or lost."""

    interval_seconds: float = 0.5
    lease_seconds: float = DEADLINE_SECONDS + 5
    drain_seconds: float = DEADLINE_SECONDS + 1
    series_seconds: float = SERIES_SECONDS
    rounds: int = 32
    tries_at_once: int = 8
    failing_rounds: int = 8
    failing_tries_at_once: int = 2


class Sends(Protocol):
    """Makes one try."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Result: ...


@dataclass
class Courier:
    """Delivers to all endpoints of a database, together with any number of others."""

    database: Database
    vault: Vault
    sender: Sends
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        self._turns = asyncio.Semaphore(DATABASE_TURNS)
        self._places = {
            False: asyncio.Semaphore(self.pace.rounds),
            True: asyncio.Semaphore(self.pace.failing_rounds),
        }
        self._rounds: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then begin nothing, and finish what is on its way."""
        await self._reseal()
        while not stop.is_set():
            await self.turn()
            try:
                async with asyncio.timeout(self.pace.interval_seconds):
                    await stop.wait()
            except TimeoutError:
                continue
        await self.drain()

    async def turn(self) -> None:
        """Hand out what has been committed, and see that each endpoint with something due has its
        round. A database that does not answer is asked again at the next turn.
        """
        try:
            handed = deliveries.PAGE
            while handed == deliveries.PAGE:
                async with self._transaction() as connection:
                    handed = await deliveries.hand_out(connection)
            async with self._transaction() as connection:
                due = await deliveries.due_endpoints(connection)
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhooks have to wait", error=type(error).__name__)
            return
        for endpoint in due:
            if endpoint.id not in self._rounds:
                task = asyncio.create_task(self._round(endpoint))
                self._rounds[endpoint.id] = task
                task.add_done_callback(self._forgetting(endpoint.id))

    async def drain(self) -> None:
        """Claim no more, and wait for the tries that are under way; a lease covers the rest."""
        self._stopping.set()
        if self._rounds:
            _, late = await asyncio.wait(self._rounds.values(), timeout=self.pace.drain_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def settled(self) -> None:
        """Wait for the rounds that are under way."""
        while self._rounds:
            await asyncio.wait(list(self._rounds.values()))

    def _forgetting(self, endpoint_id: str) -> Callable[[asyncio.Task[None]], None]:
        def forget(ended: asyncio.Task[None]) -> None:
            self._rounds.pop(endpoint_id, None)
            if not ended.cancelled() and (error := ended.exception()) is not None:
                log.error("webhook.round_broken", endpoint=endpoint_id, error=repr(error))

        return forget

    async def _round(self, endpoint: DueEndpoint) -> None:
        """Serve one endpoint until nothing is due or a try is not taken.

        Its place goes to whoever waits after each batch: a long queue is no privilege.
        """
        place = self._places[endpoint.failing]
        more = True
        while more and not self._stopping.is_set():
            async with place:
                more = not self._stopping.is_set() and await self._batch(endpoint)

    async def _batch(self, endpoint: DueEndpoint) -> bool:
        """Try some of what is due. Returns whether all of it was taken, and there may be more."""
        pace = self.pace
        most = pace.failing_tries_at_once if endpoint.failing else pace.tries_at_once
        try:
            async with self._transaction() as connection:
                claimed = await deliveries.claim(
                    connection, endpoint.id, most=most, lease_seconds=pace.lease_seconds
                )
        except (SQLAlchemyError, OSError) as error:
            log.warning("a webhook has to wait", endpoint=endpoint.id, error=type(error).__name__)
            return False
        taken = await asyncio.gather(*(self._try(one) for one in claimed))
        return bool(taken) and all(taken)

    async def _try(self, one: Claimed) -> bool:
        """Make one try and record what came of it. Returns whether it was taken.

        What cannot be opened or recorded is no try: it comes back with the lease.
        """
        try:
            keys = [
                self.vault.open(sealed, one.endpoint_id)
                for sealed in (one.secret, one.previous_secret)
                if sealed is not None
            ]
        except Unopenable:
            log.error("webhook.secret_unopenable", endpoint=one.endpoint_id)  # noqa: TRY400 - says all
            return False
        body = body_of(one)
        headers = headers_for(
            keys, event_id=one.event_id, sent_at_seconds=int(time.time()), body=body
        )
        result = await self.sender.send(one.url, headers, body)
        try:
            await self._record(one, result)
        except (SQLAlchemyError, OSError) as error:
            log.warning("webhook.not_recorded", event_id=one.event_id, error=type(error).__name__)
            return False
        log.info(
            "webhook.tried",
            endpoint=one.endpoint_id,
            event_id=one.event_id,
            attempt=one.tries + 1,
            outcome=result.outcome,
            status=result.status,
        )
        return result.outcome is Outcome.DELIVERED

    async def _record(self, one: Claimed, result: Result) -> None:
        outcome, status = result.outcome.value, result.status
        async with self._turns, self.database.transaction() as session:
            connection = await session.connection()
            if result.outcome is Outcome.DELIVERED:
                await deliveries.record_delivered(connection, one, outcome=outcome, status=status)
            elif await deliveries.record_not_taken(
                connection,
                one,
                outcome=outcome,
                status=status,
                delay_seconds=delay_seconds(one.tries + 1, result.retry_after_seconds),
                series_seconds=self.pace.series_seconds,
                final=result.outcome is Outcome.GONE,
            ):
                await self._disable(session, one, result)
                await session.flush()
            # Last, because all couriers meet in this row.
            await deliveries.count(connection, outcome)

    async def _disable(self, session: AsyncSession, one: Claimed, result: Result) -> None:
        gone = result.outcome is Outcome.GONE
        reason = "it answered 410" if gone else f"{one.event_id} was not taken for three days"
        if await webhooks.disable(session, one.endpoint_id, reason=reason):
            log.warning("webhook_endpoint.disabled", endpoint=one.endpoint_id, reason=reason)

    async def _reseal(self) -> None:
        """Seal again what an older key has sealed, so that the older key can go."""
        try:
            async with self._turns, self.database.transaction() as session:
                for endpoint in await webhooks.sealed_otherwise(session, self.vault.current):
                    with suppress(Unopenable):
                        webhooks.reseal(endpoint, self.vault.sealed_now)
        except (SQLAlchemyError, OSError) as error:
            log.warning("resealing has to wait", error=type(error).__name__)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._turns, self.database.engine.begin() as connection:
            yield connection


def body_of(one: Claimed) -> bytes:
    """What is sent: the same bytes at each try."""
    shown = EventView(id=one.event_id, type=one.type, timestamp=one.at, data=one.data)
    return shown.model_dump_json().encode()
