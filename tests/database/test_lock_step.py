"""A step locks and reads at once what it stands on, and what was written while it waited counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import JournalRow, Operation, OperationRun
from recompense.persistence.sql_work import SqlWork
from recompense.persistence.tables import Merchant, Payment
from tests.support.statements import transactions

SAGA = SagaRef(
    saga_id="authorize/pay_1",
    kind=SagaKind.AUTHORIZE,
    operation_id="pay_1",
    merchant_id="mer_1",
    payment_id="pay_1",
)
EFFECT = (SAGA.saga_id, "authorize", 1, 1)
INTEND = """
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
                     call_digest, right_try, final, booked, calls)
VALUES ('authorize/pay_1', 'authorize', 1, 1, 'sandbox', 'pay_1', 'key', '{}', '', 1, false, false,
        '[]')
"""
REGISTER = """
INSERT INTO operation_runs (saga_id, run_id, workflow_id, attempt)
VALUES ('authorize/pay_1', 'run', 'authorize/pay_1', 1)
"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, statement_timeout_seconds=10)
    async with database.work() as work:
        work.add(Merchant(id="mer_1", name="Demo", country="DE", created_by="test"))
        work.add(
            Payment(
                id="pay_1",
                merchant_id="mer_1",
                status="processing",
                amount=100,
                currency="EUR",
                capture_method="manual",
            )
        )
        work.add(
            Operation(
                saga_id=SAGA.saga_id,
                kind="authorize",
                operation_id="pay_1",
                payment_id="pay_1",
                merchant_id="mer_1",
                input={},
                requested_by="test",
            )
        )
    yield database
    await database.close()


async def read_after_waiting_for(
    database: Database, url: str, *meanwhile: str
) -> tuple[Operation | None, OperationRun | None, JournalRow | None, Payment | None]:
    """What a step reads that waits for the operation's lock while somebody else writes."""
    connection = await psycopg.AsyncConnection.connect(url)
    async with connection:
        await connection.execute("SELECT FROM operations FOR UPDATE")
        step = asyncio.create_task(_stood_on(database))
        await _until_it_waits(url)
        for statement in meanwhile:
            await connection.execute(statement.encode())
        await connection.commit()
        return await step


async def _stood_on(
    database: Database,
) -> tuple[Operation | None, OperationRun | None, JournalRow | None, Payment | None]:
    async with database.work() as work:
        await work.lock_step(EFFECT, "run", SAGA)
        return await _read(work)


async def _read(
    work: SqlWork,
) -> tuple[Operation | None, OperationRun | None, JournalRow | None, Payment | None]:
    return (
        await work.get(Operation, SAGA.saga_id, lock=True),
        await work.get(OperationRun, (SAGA.saga_id, "run")),
        await work.get(JournalRow, EFFECT, lock=True),
        await work.get(Payment, "pay_1", lock=True),
    )


async def _until_it_waits(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            found = await connection.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if found.rowcount:
                return
            await asyncio.sleep(0.01)


async def _written(url: str, *statements: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


async def test_all_that_is_there_is_read_by_one_statement(
    database: Database, database_url: str
) -> None:
    await _written(database_url, INTEND, REGISTER)
    with transactions() as begun:
        assert None not in await _stood_on(database)
    assert [len(transaction) for transaction in begun] == [1]


async def test_changes_made_while_it_waits_are_read(database: Database, database_url: str) -> None:
    await _written(database_url, INTEND, REGISTER)
    operation, _, row, payment = await read_after_waiting_for(
        database,
        database_url,
        "UPDATE operations SET attempt_state = 'compensating'",
        "UPDATE journal SET outcome_kind = 'approved', final = true",
        "UPDATE payments SET status = 'authorized'",
    )
    assert operation is not None
    assert row is not None
    assert payment is not None
    told = (operation.attempt_state, row.outcome_kind, row.final, payment.status)
    assert told == ("compensating", "approved", True, "authorized")


async def test_run_that_registers_while_it_waits_is_seen(
    database: Database, database_url: str
) -> None:
    await _written(database_url, INTEND)
    _, run, row, _ = await read_after_waiting_for(database, database_url, REGISTER)
    assert run is not None
    assert row is not None


async def test_effect_that_is_journaled_while_it_waits_is_seen(
    database: Database, database_url: str
) -> None:
    await _written(database_url, REGISTER)
    assert (await _stood_on(database))[2] is None
    found = await read_after_waiting_for(database, database_url, INTEND)
    assert None not in found


async def test_operation_without_its_effect_is_locked_all_the_same(
    database: Database, database_url: str
) -> None:
    async with database.work() as work:
        await work.lock_step(EFFECT, "run", SAGA)
        assert await work.get(Operation, SAGA.saga_id, lock=True) is not None
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                await other.execute("SELECT FROM operations FOR UPDATE NOWAIT")
