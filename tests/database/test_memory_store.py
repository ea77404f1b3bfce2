"""The simulation's store and PostgreSQL, given the same scripts, answer the same.

A script is a list of transactions, drawn by a seed over a handful of keys, so that they meet: rows
made twice, rights taken with a row that was read before, references in use, CHECKs and floors that
refuse, savepoints and whole transactions taken back.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from recompense.persistence.database import Database
from recompense.persistence.saga_tables import (
    Attempt,
    BreakerRow,
    JournalRow,
    Operation,
    OperationRun,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import (
    Capture,
    Merchant,
    Payment,
    Payout,
    Refund,
    ReserveTranche,
    VoidRequest,
)
from tests.simulation.memory_store import MemoryStore
from tests.support.lock_script import MERCHANT
from tests.support.rows_shown import Actor, shown
from tests.support.store_script import drawn, transaction

SCRIPTS = 12
TRANSACTIONS = 40
STEPS = 6
TABLES: tuple[type[SQLModel], ...] = (
    Operation,
    Attempt,
    OperationRun,
    JournalRow,
    Orphan,
    ProviderEventRow,
    BreakerRow,
    Payment,
    Capture,
    ReserveTranche,
    Refund,
    VoidRequest,
    Payout,
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.mark.parametrize("seed", range(SCRIPTS))
async def test_both_stores_given_the_same_script_answer_the_same(
    database: Database, seed: int
) -> None:
    memory = MemoryStore(_ticking())
    actors = (Actor(database.work), Actor(memory.work))
    for actor in actors:
        async with actor.open() as work:
            work.add(_merchant())
    chance = random.Random(seed)  # noqa: S311 - a script is to be repeatable, not secret
    for number in range(TRANSACTIONS):
        steps = [drawn(chance) for _ in range(chance.randint(1, STEPS))]
        told = [await transaction(actor, steps) for actor in actors]
        assert told[0] == told[1], f"transaction {number}: {steps}"
    in_database = {table.__tablename__: await _rows(database, table) for table in TABLES}
    in_memory = {table.__tablename__: shown(memory.rows(table)) for table in TABLES}
    assert in_database == in_memory
    assert any(in_memory.values()), "the script did nothing"


def _merchant() -> Merchant:
    return Merchant(id=MERCHANT, name="Demo", country="DE", created_by="test")


def _ticking() -> Callable[[], datetime]:
    """A clock of which every reading is later than the one before, as the database's is."""
    moment = datetime(2050, 1, 1, tzinfo=UTC)

    def now() -> datetime:
        nonlocal moment
        moment += timedelta(microseconds=1)
        return moment

    return now


async def _rows(database: Database, table: type[SQLModel]) -> list[dict[str, Any]]:
    async with database.transaction() as session:
        return shown(list((await session.exec(select(table))).all()))
