"""Couriers for tests, and what they deliver: endpoints and events written to a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.events import ALL_EVENTS
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import deliveries, webhooks
from recompense.persistence.database import Database
from recompense.persistence.outbox import emit
from recompense.vault import Vault
from recompense.webhooks.courier import Courier, Pace
from recompense.webhooks.sending import Outcome, Result
from recompense.webhooks.signing import new_secret
from tests.support.api import VAULT_KEY

PATIENCE_SECONDS = 30.0


@dataclass
class ScriptedSender:
    """Sends nothing: it keeps what it was given and answers as it is told, by URL."""

    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    results: dict[str, list[Result]] = field(default_factory=dict)
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Answer 200 unless something else was scripted; the last result is kept for ever."""
        self.sent.append((url, headers, body))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if url in self.holds:
                await self.holds[url].wait()
        finally:
            self.at_once -= 1
        script = self.results.get(url, [Result(Outcome.DELIVERED, 200)])
        return script.pop(0) if len(script) > 1 else script[0]

    def ids(self, url: str | None = None) -> list[str]:
        """The ids of what was sent, to one URL or to all."""
        return [headers["webhook-id"] for to, headers, _ in self.sent if url in (None, to)]


@dataclass
class Post:
    """A database with endpoints, and a courier that serves them."""

    database: Database
    sender: ScriptedSender
    vault: Vault
    courier: Courier

    async def endpoint(
        self,
        url: str = "https://shop.example/",
        *,
        events: Sequence[str] = (ALL_EVENTS,),
        merchant_id: str | None = None,
    ) -> str:
        """Make an endpoint; its id."""
        endpoint_id = new_id(IdPrefix.WEBHOOK_ENDPOINT)
        async with self.database.transaction() as session:
            await webhooks.create(
                session,
                endpoint_id=endpoint_id,
                merchant_id=merchant_id,
                url=url,
                events=events,
                secret=self.vault.seal(new_secret(), endpoint_id),
                actor="test",
            )
        return endpoint_id

    async def emitted(
        self, *types: str, merchant_id: str | None = None, count: int = 1
    ) -> list[str]:
        """Emit events in one transaction; their ids."""
        async with self.database.transaction() as session:
            return await emit_in(session, *types * count, merchant_id=merchant_id)

    async def handed_out(self) -> None:
        """Hand out all that is committed, as soon as no neighbour's transaction holds it back."""

        async def done() -> bool:
            async with self.database.engine.begin() as connection:
                await deliveries.hand_out(connection)
                left = await connection.execute(text(_LEFT))
                return not left.scalar_one()

        await eventually(done, "everything is handed out")

    async def turn(self) -> None:
        """One whole turn of the courier, its tries included."""
        await self.handed_out()
        await self.courier.turn()
        await self.courier.settled()

    async def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Read from the database."""
        async with self.database.engine.begin() as connection:
            found = await connection.execute(text(statement), values)
            return [dict(row) for row in found.mappings()] if found.returns_rows else []

    async def states(self, endpoint_id: str) -> list[str]:
        """The states of an endpoint's deliveries, in the order of the events."""
        found = await self.rows(
            "SELECT d.state FROM webhook_deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE d.endpoint_id = :id ORDER BY e.seq",
            id=endpoint_id,
        )
        return [row["state"] for row in found]

    async def all_due(self) -> None:
        """Time passes: every pending delivery is due."""
        await self.rows(
            "UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp()"
            " - interval '1 second' WHERE state = 'pending'"
        )


_LEFT = """
SELECT EXISTS (SELECT FROM events e, webhook_cursor c WHERE (e.created, e.seq) > (c.created, c.seq))
"""


async def emit_in(session: AsyncSession, *types: str, merchant_id: str | None = None) -> list[str]:
    """Emit events in an open transaction; their ids, in this order."""
    for number, event_type in enumerate(types):
        emit(
            session,
            event_type,
            {"object": "test", "number": number},
            merchant_id=merchant_id,
        )
        await session.flush()
    rows = await (await session.connection()).execute(
        text("SELECT id FROM events WHERE created = pg_current_xact_id() ORDER BY seq")
    )
    return [row.id for row in rows]


@asynccontextmanager
async def open_post(database_url: str, pace: Pace | None = None) -> AsyncIterator[Post]:
    """A courier on a database that has one merchant, `mer_1`, and another, `mer_2`."""
    database, vault, sender = Database(database_url), Vault([VAULT_KEY]), ScriptedSender()
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO merchants (id, name, country, payout, fees, availability_rule,"
                " availability_days, created_by) SELECT 'mer_' || n, 'm', 'DE', '{}', '{}',"
                " 'on_capture', 0, 't' FROM generate_series(1, 2) AS n"
            )
        )
    try:
        yield Post(database, sender, vault, Courier(database, vault, sender, pace or Pace()))
    finally:
        await database.close()


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until the condition holds. Raises `AssertionError` when it does not."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < give_up_at, f"this did not come true: {what}"
        await asyncio.sleep(0.02)
