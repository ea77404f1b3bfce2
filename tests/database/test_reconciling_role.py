"""A reconciliation as the application makes it where it has a role of its own, with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from recompense.contracts.reconciliation import BreakAction
from recompense.contracts.repairs import RepairStage, RepairWord
from recompense.persistence import reconciling, repairs
from recompense.persistence.balance_check import check
from recompense.persistence.database import Database
from recompense.persistence.migrations import upgrade
from recompense.persistence.repairs import Rules
from tests.support.postgres import PostgresServer
from tests.support.settling import Counter, effect_line

ROLE = "recompense_app"


@pytest.fixture
def urls(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """The addresses of one database, for its owner and for the application."""
    name = f"test_{uuid4().hex}"
    database = sql.Identifier(name)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(2)")
        role = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        if role is None:
            connection.execute("CREATE ROLE recompense_app LOGIN")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO recompense_app").format(database)
        )
    url = postgres_server.url(name)
    upgrade(url)
    yield url, url.replace("postgres@", f"{ROLE}@")
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


async def test_application_role_reconciles_and_repairs(urls: tuple[str, str]) -> None:
    owner_url, app_url = urls
    database = Database(app_url, statement_timeout_seconds=10)
    Counter(owner_url, database).captured(1)
    counter = Counter(app_url, database)
    assert (await counter.compare([effect_line(1), effect_line(2)])).opened == 1
    (found,) = counter.breaks()
    async with database.transaction() as session:
        word = RepairWord(key="1", action=BreakAction.POST, actor="finance", reason="claimed")
        rules = Rules("main", write_off_approval_above=0)
        assert (await repairs.admit(session, found["id"], word, rules)).refusal is None
        assert (await repairs.book(session, found["id"], rules)).stage is RepairStage.RESOLVED
    async with database.transaction() as session:
        assert await reconciling.release_settled(session, None, 100) is None
        assert (await check(session, ["sandbox"])).differences == ()
    await database.close()
