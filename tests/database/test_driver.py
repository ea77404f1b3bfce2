"""Statements on the driver's own connection fail, and end, as SQLAlchemy's do."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.persistence import driver

INSERT = "INSERT INTO breakers (provider, operation_class, phase) VALUES (%s, 'money', 'closed')"
COUNT = "SELECT count(*) FROM breakers"


async def test_what_a_constraint_refuses_is_an_integrity_error_without_its_values(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        await driver.run(connection, INSERT, ["a_secret"])
        with pytest.raises(IntegrityError) as raised:
            await driver.run(connection, INSERT, ["a_secret"])
    assert "a_secret" not in str(raised.value.statement)
    assert raised.value.params is None
    assert not raised.value.connection_invalidated


async def test_what_is_not_committed_does_not_stay(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await driver.run(connection, INSERT, ["one"])
    async with engine.connect() as connection:
        await driver.run(connection, INSERT, ["two"])
        await connection.commit()
        assert await driver.run(connection, COUNT) == [(1,)]


async def test_connection_that_died_is_not_used_again(engine: AsyncEngine) -> None:
    async with engine.connect() as connection, engine.connect() as other:
        [[pid]] = await driver.run(connection, "SELECT pg_backend_pid()")
        await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(OperationalError) as raised:
            await driver.run(connection, COUNT)
    assert raised.value.connection_invalidated
    async with engine.connect() as connection:
        assert await driver.run(connection, COUNT) == [(0,)]


async def test_cancelled_statement_leaves_no_transaction_behind(engine: AsyncEngine) -> None:
    async def insert_and_wait() -> None:
        async with engine.begin() as connection:
            await driver.run(connection, INSERT, ["one"])
            await driver.run(connection, "SELECT pg_sleep(30)")

    waiting = asyncio.create_task(insert_and_wait())
    async with engine.connect() as connection:
        await _until_somebody_sleeps(engine)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await driver.run(connection, COUNT) == [(0,)]
        assert await driver.run(connection, INSERT, ["one"]) == []


async def test_statement_that_postgresql_does_not_understand_is_a_database_error(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await driver.run(connection, "SELECT nothing FROM nowhere")


async def _until_somebody_sleeps(engine: AsyncEngine) -> None:
    while True:
        async with engine.connect() as connection:
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            if await driver.run(connection, sleeping) != [(0,)]:
                return
        await asyncio.sleep(0.01)
