"""The ledger's migration, up and down, on a database that holds data."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import create_async_engine

from recompense.persistence.migrations import downgrade, head_revision, upgrade
from recompense.persistence.urls import with_driver
from tests.database.ledger.steps import make_available, payout, post, seal, verified
from tests.support.postgres import PostgresServer


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield postgres_server.url(name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _use(url: str) -> None:
    async def run() -> None:
        engine = create_async_engine(with_driver(url))
        await make_available(engine, 100)
        await post(engine, payout("po_1", 60))
        await seal(engine, snapshot=True)
        assert (await verified(engine)).in_order
        await engine.dispose()

    asyncio.run(run())


def _own_objects(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relname NOT LIKE 'alembic%'"
            " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        )
        return [name for (name,) in rows]


def test_ledger_goes_up_down_and_up_again_on_data(empty_database: str) -> None:
    for _ in range(2):
        upgrade(empty_database, "0001")
        _use(empty_database)
        downgrade(empty_database, "base")
        assert _own_objects(empty_database) == []


def test_all_migrations_go_down_with_a_ledger_in_use(empty_database: str) -> None:
    upgrade(empty_database)
    _use(empty_database)
    downgrade(empty_database, "base")
    assert _own_objects(empty_database) == []


def test_upgrade_of_a_migrated_database_changes_nothing(empty_database: str) -> None:
    upgrade(empty_database)
    before = sorted(_own_objects(empty_database))
    upgrade(empty_database)
    assert sorted(_own_objects(empty_database)) == before
    with psycopg.connect(empty_database) as connection:
        [version] = connection.execute("SELECT version_num FROM alembic_version").fetchone() or [""]
    assert version == head_revision()
