"""A list costs the same on big tables: no page scans one, or walks through all of it.

What is looked for is at the far end, so that a walk from the newest row reads everything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.desk import UnknownSaga
from recompense.desk import rows as sagas
from recompense.domain.ids import IdPrefix, earliest_id
from recompense.domain.states import SagaState
from recompense.persistence import reads
from recompense.persistence.database import Database
from recompense.persistence.tables import Payment, Payout
from tests.support.database import fresh_database
from tests.support.plans import CUSTOM, EXPLAINED, GENERIC, explain, explained
from tests.support.postgres import PostgresServer

ROWS = 20_000
FEW = 10
"""So many rows, the oldest, have each rare state."""
MANY = 3_000
"""So many sagas, the oldest, have failed or are under way."""
MOST_ROWS_READ = 2_000
"""A day of rows, and some."""
FIRST = datetime(2026, 11, 1, tzinfo=UTC)

Read = Callable[[AsyncSession], Awaitable[object]]


def made(number: int) -> datetime:
    return FIRST + timedelta(minutes=number)


def rare(number: int, states: list[str], usual: str) -> str:
    return states[number // FEW] if number < FEW * len(states) else usual


def payments() -> Iterator[tuple[Any, ...]]:
    for i in range(ROWS):
        status = rare(i, ["processing", "requires_action"], "captured")
        row_id = earliest_id(IdPrefix.PAYMENT, made(i))
        yield row_id, "mer_1", status, 10, "EUR", "manual", "{}", made(i)


def payouts() -> Iterator[tuple[Any, ...]]:
    for i in range(ROWS):
        status = rare(i, ["pending", "awaiting_approval", "in_transit"], "paid")
        row_id = earliest_id(IdPrefix.PAYOUT, made(i))
        yield row_id, "mer_1", 10, "EUR", status, "t", "sandbox", "x", made(i)


def operations() -> Iterator[tuple[Any, ...]]:
    for i in range(ROWS):
        usual = "failed" if i < MANY else "done"
        state = rare(i, ["running", "compensating", "parked"], usual)
        saga_id = f"authorize/{i:06}"
        yield saga_id, "authorize", f"{i:06}", "mer_1", "{}", "x", 1, "open", state, made(i)


def operation_runs() -> Iterator[tuple[Any, ...]]:
    for i in range(ROWS):
        copied = "copy-of-" if i < FEW else ""
        yield f"authorize/{i:06}", "run", f"{copied}authorize/{i:06}", 1


FILLED: dict[str, tuple[str, Callable[[], Iterator[tuple[Any, ...]]]]] = {
    "payments": (
        "id, merchant_id, status, amount, currency, capture_method, metadata, created_at",
        payments,
    ),
    "payouts": (
        "id, merchant_id, amount, currency, status, destination_token, provider, requested_by,"
        " created_at",
        payouts,
    ),
    "operations": (
        "saga_id, kind, operation_id, merchant_id, input, requested_by, attempt, attempt_state,"
        " saga_state, created_at",
        operations,
    ),
    "operation_runs": ("saga_id, run_id, workflow_id, attempt", operation_runs),
}


@pytest.fixture(scope="module")
def listed_url(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for table, (columns, filling) in FILLED.items():
                copy = f"COPY {table} ({columns}) FROM STDIN".encode()
                with connection.cursor().copy(copy) as rows:
                    for row in filling():
                        rows.write_row(row)
            connection.execute("VACUUM ANALYZE")
        explain(url, {**EXPLAINED, "auto_explain.log_analyze": "on"})
        yield url


def page_of(table: Any, **narrowed: Any) -> Read:
    return lambda session: reads.listed(session, table, reads.Filters(limit=20, **narrowed))


def page_of_sagas(*states: SagaState, **narrowed: Any) -> Read:
    filters = sagas.Filters(states=states or None, **narrowed)
    return lambda session: sagas.page(session, filters)


async def no_saga(session: AsyncSession) -> list[object]:
    with pytest.raises(UnknownSaga):
        await sagas.find(session, "authorize/typo")
    return []


async def copy_of_a_saga(session: AsyncSession) -> list[object]:
    return [await sagas.find(session, "copy-of-authorize/000003")]


FAILED = f"authorize/{3 * FEW:06}"
NEWEST, OLDEST = made(ROWS - 6), made(5)
MIDDLE = f"authorize/{ROWS // 2:06}"
LISTS: dict[str, tuple[Read, int]] = {
    "payments": (page_of(Payment), 21),
    "payments, processing": (page_of(Payment, status="processing"), FEW),
    "payments, requires_action": (page_of(Payment, status="requires_action"), FEW),
    "payments, processing of a merchant": (
        page_of(Payment, status="processing", merchant_id="mer_1"),
        FEW,
    ),
    "payments, no such status": (page_of(Payment, status="unheard_of"), 0),
    "payments, newest": (page_of(Payment, created_after=NEWEST), 5),
    "payments, oldest": (page_of(Payment, created_before=OLDEST), 5),
    "payments, of no time": (page_of(Payment, created_after=datetime.max.replace(tzinfo=UTC)), 0),
    "payments, before all times": (
        page_of(Payment, created_before=datetime.min.replace(tzinfo=UTC)),
        0,
    ),
    "payments, since all times": (
        page_of(Payment, created_after=datetime.min.replace(tzinfo=UTC)),
        21,
    ),
    "payouts, pending": (page_of(Payout, status="pending"), FEW),
    "payouts, awaiting_approval": (page_of(Payout, status="awaiting_approval"), FEW),
    "payouts, in_transit": (page_of(Payout, status="in_transit"), FEW),
    "payouts, newest": (page_of(Payout, created_after=NEWEST), 5),
    "payouts, oldest": (page_of(Payout, created_before=OLDEST), 5),
    "sagas": (page_of_sagas(), 21),
    "sagas, from the middle": (page_of_sagas(after=MIDDLE), 21),
    "sagas, running": (page_of_sagas(SagaState.RUNNING, SagaState.COMPENSATING), 2 * FEW),
    "sagas, parked": (page_of_sagas(SagaState.PARKED), FEW),
    "sagas, failed": (page_of_sagas(SagaState.FAILED), 21),
    "sagas, failed or abandoned": (
        page_of_sagas(SagaState.FAILED, abandoned=["authorize/000001", FAILED]),
        21,
    ),
    "sagas, done": (page_of_sagas(SagaState.DONE, after=MIDDLE), 21),
    "no saga": (no_saga, 0),
    "copy of a saga": (copy_of_a_saga, 1),
}


@pytest.mark.parametrize("mode", [CUSTOM, GENERIC])
@pytest.mark.parametrize("name", LISTS)
async def test_list_reads_little_of_big_tables(listed_url: str, name: str, mode: str) -> None:
    read, rows = LISTS[name]
    database = Database(listed_url)
    async with explained(database, mode) as plans, database.transaction() as session:
        found = await read(session)
    await database.close()
    assert isinstance(found, list)
    assert len(found) == rows
    assert plans.scanning() == {}
    assert all(count <= MOST_ROWS_READ for count in plans.rows_read().values()), plans.rows_read()


async def test_sagas_are_listed_newest_first_whatever_they_are_found_by(listed_url: str) -> None:
    database = Database(listed_url)
    states = (SagaState.RUNNING, SagaState.COMPENSATING)
    seen: list[str] = []
    async with database.transaction() as session:
        while True:
            after = seen[-1] if seen else None
            filters = sagas.Filters(states=states, abandoned=[FAILED], limit=3, after=after)
            page = await sagas.page(session, filters)
            seen += [one.saga_id for one in page[:3]]
            if len(page) <= 3:
                break
    await database.close()
    assert seen == [FAILED, *(f"authorize/{i:06}" for i in range(2 * FEW - 1, -1, -1))]


INSERT_LATE = """
INSERT INTO payments (id, merchant_id, status, amount, currency, capture_method, metadata,
                      created_at)
VALUES (%(payment)s, 'mer_1', 'authorized', 10, 'EUR', 'manual', '{}', %(at)s)
"""
INSERT_LATE_PAYOUT = """
INSERT INTO payouts (id, merchant_id, amount, currency, status, destination_token, provider,
                     requested_by, created_at)
VALUES (%(payout)s, 'mer_1', 10, 'EUR', 'paid', 't', 'sandbox', 'x', %(at)s)
"""


async def test_row_that_is_younger_than_its_id_is_listed(database_url: str) -> None:
    """Workers were away for hours; a run of payouts waited for its approval for weeks."""
    before, after = FIRST - timedelta(seconds=1), FIRST + timedelta(seconds=1)
    values = {
        "payment": earliest_id(IdPrefix.PAYMENT, FIRST - timedelta(hours=20)),
        "payout": earliest_id(IdPrefix.PAYOUT, FIRST - timedelta(weeks=5)),
        "at": FIRST,
    }
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(INSERT_LATE, values)
        connection.execute(INSERT_LATE_PAYOUT, values)
    database = Database(database_url)
    tables: tuple[Any, ...] = (Payment, Payout)
    async with database.transaction() as session:
        for table in tables:
            around = reads.Filters(limit=1, created_after=before, created_before=after)
            assert len(await reads.listed(session, table, around)) == 1, table
            later = reads.Filters(limit=1, created_after=FIRST)
            earlier = reads.Filters(limit=1, created_before=FIRST)
            for exact in (later, earlier):
                assert await reads.listed(session, table, exact) == [], table
    await database.close()
