"""Fixtures: a fresh, migrated database for each test that asks for one.

A tier's `conftest.py` takes them by importing them:
`from tests.support.database import database_url, engine, postgres_server`.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from recompense.persistence.migrations import upgrade
from recompense.persistence.urls import with_driver
from tests.support.postgres import PostgresServer, shared_server

TEMPLATE = "recompense_template"
ROOMY_BYTES = 4 * 2**30


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The run's PostgreSQL server, shared by all xdist workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    root = _fastest_directory() / f"recompense-tests-{run}"
    with shared_server(root) as server:
        _ensure_template(server)
        yield server


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The `postgresql://` address of a migrated database of this test's own."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An async engine on this test's own database, with room for a storm of connections."""
    engine = create_async_engine(with_driver(database_url), pool_size=40, max_overflow=0)
    yield engine
    await engine.dispose()


@contextmanager
def fresh_database(server: PostgresServer) -> Iterator[str]:
    """A migrated database for the length of a block, for a test that needs more than one."""
    name = f"test_{uuid4().hex}"
    _copy_database(server, TEMPLATE, name)
    yield server.url(name)
    _drop_database(server, name)


def _fastest_directory() -> Path:
    """Memory where there is plenty: a database of some hundred files is copied ten times faster."""
    memory = Path("/dev/shm")  # noqa: S108 - its use as a directory of files is the point
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOMY_BYTES:
        return memory
    return Path(tempfile.gettempdir())


def _ensure_template(server: PostgresServer) -> None:
    """Migrate the template once for the run; a half-made one is never seen by its name."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        # A lock that ends with the session: the other workers wait here until it is ready.
        connection.execute("SELECT pg_advisory_lock(1)")
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE])
        if exists.fetchone():
            return
        connection.execute("CREATE DATABASE half_made_template")
        upgrade(server.url("half_made_template"))
        connection.execute(
            sql.SQL("ALTER DATABASE half_made_template RENAME TO {}").format(
                sql.Identifier(TEMPLATE)
            )
        )


def _copy_database(server: PostgresServer, source: str, name: str) -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(source)
    )
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement)


def _drop_database(server: PostgresServer, name: str) -> None:
    statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement)
