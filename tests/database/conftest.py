"""The database tier: real PostgreSQL, a database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from recompense.persistence.database import Database
from tests.support.database import database_url, engine, postgres_server
from tests.support.run_scene import Scene
from tests.support.settling import Counter
from tests.support.stage import assert_in_order

__all__ = ["database_url", "engine", "postgres_server"]


@pytest.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    """A scene of the test's own."""
    database = Database(database_url, pool_size=8, statement_timeout_seconds=10)
    yield Scene(database)
    await database.close()


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Counter]:
    """Our side of a provider; in the end the ledger is in order."""
    database = Database(database_url, statement_timeout_seconds=10)
    yield Counter(database_url, database)
    await assert_in_order(database)
    await database.close()
