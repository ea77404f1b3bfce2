"""What the database itself refuses, whoever asks."""

from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from recompense.persistence import ledger
from recompense.persistence.migrations import upgrade
from recompense.persistence.urls import with_driver
from tests.database.ledger.steps import authorized, capture, make_available, payout, post, seal
from tests.support.postgres import PostgresServer

APPEND_ONLY = {
    "ledger_postings": "payment_id = 'pay_2'",
    "ledger_transfers": "amount = 1",
    "ledger_snapshots": "debits_posted = 1",
    "ledger_seals": "digest = previous",
}
HEADER = (
    "INSERT INTO ledger_postings (posting_key, operation_id, lines) VALUES ('op:x:1', 'op', {})"
)
LINE = """
INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase)
SELECT max(id), {}, 'bank:main:cash', 'platform:fees', {}, 'EUR', 'posted' FROM ledger_postings
"""


@pytest.fixture
async def books(engine: AsyncEngine) -> AsyncEngine:
    """A ledger with a row in each of its tables."""
    await make_available(engine, 100)
    await seal(engine, snapshot=True)
    return engine


async def run(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("role", ["origin", "replica", "local"])
@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "change", ["UPDATE {table} SET {set}", "DELETE FROM {table}", "TRUNCATE {table}"]
)
async def test_change_of_an_append_only_table_is_refused(
    books: AsyncEngine, table: str, change: str, role: str
) -> None:
    statement = change.format(table=table, set=APPEND_ONLY[table])
    with pytest.raises(ProgrammingError, match="append-only"):
        await run(books, f"SET LOCAL session_replication_role = {role}", statement)


async def test_transfer_added_by_a_later_transaction_is_refused(books: AsyncEngine) -> None:
    with pytest.raises(IntegrityError) as refusal:
        await run(books, LINE.format(9, 5))
    assert constraint_of(refusal.value) == "ledger_transfer_in_time"


async def test_transfer_added_inside_a_savepoint_is_of_the_same_transaction(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql(HEADER.format(2))
        async with connection.begin_nested():
            await connection.exec_driver_sql(LINE.format(1, 5))
        await connection.exec_driver_sql(LINE.format(2, 5))
    async with engine.connect() as connection:
        page = await ledger.entries(connection, "platform:fees")
    assert [entry.amount for entry in page.data] == [5, 5]


@pytest.mark.parametrize("lines", [[], [LINE.format(1, 5)], [LINE.format(n, 5) for n in (1, 2, 3)]])
async def test_posting_without_exactly_its_transfers_does_not_commit(
    engine: AsyncEngine, lines: list[str]
) -> None:
    with pytest.raises(IntegrityError) as refusal:
        await run(engine, HEADER.format(2), *lines)
    assert constraint_of(refusal.value) == "ledger_posting_is_whole"


@pytest.mark.parametrize(
    "values",
    [
        "'bank:main:cash', 'platform:fees', 0, 'EUR', 'posted', NULL, NULL",
        "'bank:main:cash', 'platform:fees', -5, 'EUR', 'posted', NULL, NULL",
        "'bank:main:cash', 'bank:main:cash', 5, 'EUR', 'posted', NULL, NULL",
        "'bank:main:cash', 'platform:fees', 5, 'eur', 'posted', NULL, NULL",
        "'bank:main:cash', 'platform:fees', 5, 'EUR', 'done', NULL, NULL",
        "'bank:main:cash', 'platform:fees', 5, 'EUR', 'voided', NULL, NULL",
        "'bank:main:cash', 'platform:fees', 5, 'EUR', 'posted', 'pay_1:authorize:1', NULL",
        "'bank:main:pocket', 'platform:fees', 5, 'EUR', 'posted', NULL, NULL",
        "'bank:main:cash', 'merchant:m:available:x', 5, 'EUR', 'posted', NULL, NULL",
    ],
)
async def test_transfer_that_no_ledger_may_hold_is_refused(
    engine: AsyncEngine, values: str
) -> None:
    line = f"""
        INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase,
                                      resolves_key, resolves_line)
        SELECT max(id), 1, {values} FROM ledger_postings
    """  # noqa: S608 - constants of this file
    with pytest.raises(IntegrityError):
        await run(engine, HEADER.format(1), line)


@pytest.fixture
async def app_engine(postgres_server: PostgresServer) -> AsyncIterator[AsyncEngine]:
    """A database as the application sees it where it has a role of its own."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(2)")
        if not connection.execute(
            "SELECT 1 FROM pg_roles WHERE rolname = 'recompense_app'"
        ).fetchone():
            connection.execute("CREATE ROLE recompense_app LOGIN")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    upgrade(postgres_server.url(name))
    url = postgres_server.url(name).replace("postgres@", "recompense_app@")
    engine = create_async_engine(with_driver(url))
    yield engine
    await engine.dispose()
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_application_role_can_do_its_work(app_engine: AsyncEngine) -> None:
    await make_available(app_engine, 100)
    await post(app_engine, payout("po_1", 60))
    async with app_engine.begin() as connection:
        assert await ledger.lock_available(connection, "mer_1", "EUR") == 40
        assert await ledger.lock_available(connection, "mer_2", "EUR") == 0
    assert await seal(app_engine, snapshot=True) >= 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_transfers SET amount = 1",
        "DELETE FROM ledger_postings",
        "TRUNCATE ledger_seals",
        "UPDATE ledger_floored_balances SET balance = 1000000",
        "DELETE FROM ledger_holds",
        "INSERT INTO ledger_holds VALUES (1, 1, 100, 0)",
        "INSERT INTO ledger_postings (posting_key, operation_id, lines, at)"
        " VALUES ('op:x:1', 'op', 1, '2020-01-01')",
        "INSERT INTO ledger_postings (posting_key, operation_id, lines, created)"
        " VALUES ('op:x:1', 'op', 1, '3')",
        "ALTER TABLE ledger_transfers DISABLE TRIGGER ALL",
        "SELECT ledger_move_floored('merchant:mer_1:available', 'EUR', 1000000, 0)",
    ],
)
async def test_application_role_cannot_rewrite_the_books(
    app_engine: AsyncEngine, statement: str
) -> None:
    await make_available(app_engine, 100)
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        await run(app_engine, statement)


def constraint_of(error: IntegrityError) -> str | None:
    assert isinstance(error.orig, psycopg.Error)
    return error.orig.diag.constraint_name


async def test_posted_capture_cannot_be_forged_on_another_hold(books: AsyncEngine) -> None:
    await post(books, authorized("pay_2", 50))
    forged = """
        INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase,
                                      resolves_key, resolves_line)
        SELECT max(id), 1, 'bank:main:cash', 'platform:fees', 5, 'EUR', 'posted',
               'pay_2:authorize:1', 1 FROM ledger_postings
    """
    with pytest.raises(IntegrityError) as refusal:
        await run(books, HEADER.format(1), forged)
    assert constraint_of(refusal.value) == "ledger_hold_exists"
    await capture(books, "pay_2", 50, capture_id="cap_2")
