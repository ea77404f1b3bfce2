"""Usual: what the public samples lead one to write.

One ordinary activity for each step, one statement in each, one task queue, awaited by result.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import psycopg
from temporalio import activity, workflow
from temporalio.client import Client

from benchmarks.controls.call import MERCHANT, Call, async_client, status_of
from benchmarks.controls.workers import serve

TASK_QUEUE = "bench-usual"
CONNECTIONS = 16
STEP_TIMEOUT = timedelta(seconds=10)

LOAD = "SELECT daily_limit FROM usual.merchants WHERE id = %s"
RISK = (
    "INSERT INTO usual.payments (id, amount, currency, risk, status)"
    " VALUES (%s, %s, %s, 'low', 'pending') ON CONFLICT DO NOTHING"
)
LEDGER = (
    "INSERT INTO usual.entries VALUES (%(id)s, 'provider', %(amount)s, 0),"
    " (%(id)s, 'merchant', 0, %(amount)s) ON CONFLICT DO NOTHING"
)
STATE = "UPDATE usual.payments SET status = %s WHERE id = %s"
EVENT = "INSERT INTO usual.events (payment_id, type) VALUES (%s, %s) ON CONFLICT DO NOTHING"


class Steps:
    """The activities, with a pool of connections and an HTTP client."""

    def __init__(self, sandbox_url: str) -> None:
        self._http = async_client(sandbox_url)
        self._pool: asyncio.Queue[psycopg.AsyncConnection] = asyncio.Queue()

    async def open(self, database_url: str) -> None:
        """Fill the pool."""
        for _ in range(CONNECTIONS):
            connect = psycopg.AsyncConnection.connect(database_url, autocommit=True)
            self._pool.put_nowait(await connect)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        connection = await self._pool.get()
        try:
            yield connection
        finally:
            self._pool.put_nowait(connection)

    @activity.defn(name="usual.load")
    async def load(self, call: Call) -> int:
        """The merchant's limit."""
        async with self._connection() as connection:
            found = await (await connection.execute(LOAD, [MERCHANT])).fetchone()
        return int(found[0]) if found else 0

    @activity.defn(name="usual.risk")
    async def risk(self, call: Call) -> None:
        """Write the payment with its risk."""
        async with self._connection() as connection:
            await connection.execute(RISK, [call.payment_id, call.amount, call.currency])

    @activity.defn(name="usual.provider")
    async def provider(self, call: Call) -> str:
        """Ask the sandbox; its word."""
        return status_of(await self._http.post(**call.request()))

    @activity.defn(name="usual.ledger")
    async def ledger(self, call: Call) -> None:
        """Write the two entries."""
        async with self._connection() as connection:
            await connection.execute(LEDGER, {"id": call.payment_id, "amount": call.amount})

    @activity.defn(name="usual.state")
    async def state(self, payment_id: str, status: str) -> None:
        """Write the outcome."""
        async with self._connection() as connection:
            await connection.execute(STATE, [status, payment_id])

    @activity.defn(name="usual.event")
    async def event(self, payment_id: str, status: str) -> None:
        """Write the event."""
        async with self._connection() as connection:
            await connection.execute(EVENT, [payment_id, status])


@workflow.defn(name="BenchUsual")
class Usual:
    """The steps in their order."""

    @workflow.run
    async def run(self, call: Call) -> str:
        """Authorize."""
        step = workflow.execute_activity_method
        limit = await step(Steps.load, call, start_to_close_timeout=STEP_TIMEOUT)
        if call.amount > limit:
            return "refused"
        await step(Steps.risk, call, start_to_close_timeout=STEP_TIMEOUT)
        status = await step(Steps.provider, call, start_to_close_timeout=STEP_TIMEOUT)
        await step(Steps.ledger, call, start_to_close_timeout=STEP_TIMEOUT)
        told = [call.payment_id, status]
        await step(Steps.state, args=told, start_to_close_timeout=STEP_TIMEOUT)
        await step(Steps.event, args=told, start_to_close_timeout=STEP_TIMEOUT)
        return status


async def authorize(client: Client, call: Call) -> str:
    """Start the workflow and wait for its result."""
    return await client.execute_workflow(
        Usual.run, call, id=f"usual/{call.payment_id}", task_queue=TASK_QUEUE
    )


async def main(temporal_address: str, sandbox_url: str, database_url: str) -> None:
    """Run one worker process until SIGTERM."""
    steps = Steps(sandbox_url)
    await steps.open(database_url)
    activities: list[Callable[..., Any]] = [
        steps.load,
        steps.risk,
        steps.provider,
        steps.ledger,
        steps.state,
        steps.event,
    ]
    await serve(temporal_address, TASK_QUEUE, Usual, activities)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
