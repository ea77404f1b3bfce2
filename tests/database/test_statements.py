"""A statement leads from the ledger's balance at its beginning to the one at its end, in pages and
in periods of any size, and speaks only of closed books.
"""

from __future__ import annotations

import asyncio
import csv
import io
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import text

from recompense.domain.failures import InvariantBroken
from recompense.ledger.statements import Holdings, StatementLine
from recompense.persistence import ledger, statements
from recompense.persistence.database import Database
from recompense.persistence.statements import BooksStillOpen, Period, accounts, lines
from recompense.statements.merchant import COLUMNS, merchant_statement
from recompense.statements.rendering import rendered
from tests.database.ledger.steps import seal
from tests.support.census import SOAK
from tests.support.commit_proxy import commit_proxy
from tests.support.merchant_life import Life, merchant_with
from tests.support.stage import Stage, staged
from tests.support.step_stories import MERCHANT

BEFORE = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    """A merchant with a life behind it."""
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await merchant_with(stage, terms=1)
        life = Life(stage, seed=1)
        for number in range(120):
            await life.step()
            if number % 40 == 0:
                await seal(stage.database.engine, block_size=10, snapshot=True)
        yield stage


async def closed(database: Database, since: datetime, until: datetime | None = None) -> Period:
    """Wait until the books are closed: neighbours on the same server may hold them open."""
    while True:
        try:
            return await statements.closed_period(database, since, until)
        except BooksStillOpen:
            await asyncio.sleep(0.01)


async def whole(database: Database) -> Period:
    """From the beginning to after the last posting."""
    async with database.engine.begin() as connection:
        last = (await connection.execute(text("SELECT max(at) FROM ledger_postings"))).scalar_one()
    return await closed(database, BEFORE, last + timedelta(microseconds=1))


async def told(database: Database, period: Period, currency: str) -> list[StatementLine]:
    [account] = await accounts(database, MERCHANT, period, currency)
    return [line async for line in lines(database, MERCHANT, period, account)]


async def held(database: Database, currency: str) -> Holdings:
    found = []
    async with database.engine.begin() as connection:
        for kind in ("pending", "available", "reserve"):
            now = await ledger.balances(connection, f"merchant:{MERCHANT}:{kind}", None, currency)
            found.append(sum(one.balance for one in now))
    return Holdings(*found)


@pytest.mark.parametrize("page", [1, 7, 500])
async def test_lines_lead_from_nothing_to_the_ledgers_balance(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(statements, "PAGE", page)
    period = await whole(stage.database)
    found = await accounts(stage.database, MERCHANT, period, None)
    assert [account.currency for account in found] == ["EUR", "JPY"]
    for account in found:
        all_lines = await told(stage.database, period, account.currency)
        assert account.opening == Holdings(0, 0, 0)
        assert all_lines[-1].after == account.closing
        assert account.closing == await held(stage.database, account.currency)
        assert sum(line.change for line in all_lines) == account.closing.total
        places = [
            (one.movement.posting_key, one.movement.debit, one.movement.credit) for one in all_lines
        ]
        assert len(places) == len(set(places))
    kinds = {line.kind for line in await told(stage.database, period, "EUR")}
    assert kinds >= {"capture", "fee", "fee_returned", "refund", "payout", "payout_returned"}
    assert kinds >= {"return_fee", "made_available", "reserve_kept", "reserve_released"}
    assert "adjustment" not in kinds


async def test_periods_that_follow_each_other_tell_all_once(stage: Stage) -> None:
    period = await whole(stage.database)
    everything = await told(stage.database, period, "EUR")
    marks = [line.movement.at for line in everything[5::9]]
    edges = [BEFORE, *marks, period.until]
    parts: list[StatementLine] = []
    closing = Holdings(0, 0, 0)
    for since, until in pairwise(edges):
        part = Period(since, until)
        [account] = await accounts(stage.database, MERCHANT, part, "EUR")
        assert account.opening == closing
        parts += await told(stage.database, part, "EUR")
        closing = account.closing
    assert parts == everything


async def test_period_without_movements_has_two_balances(stage: Stage) -> None:
    await whole(stage.database)
    async with stage.database.engine.begin() as connection:
        now = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    period = await closed(stage.database, now, now + timedelta(microseconds=1))
    table = await merchant_statement(stage.database, MERCHANT, period, "EUR")
    written = "".join([chunk async for chunk in rendered(table, "csv")])
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["kind"] for row in rows] == ["opening_balance", "closing_balance"]
    assert rows[0]["total"] == rows[1]["total"] != "0.00"


async def test_books_that_a_transaction_still_writes_are_open(stage: Stage) -> None:
    period = await whole(stage.database)
    async with stage.database.engine.begin() as connection:
        await connection.execute(text("SELECT pg_current_xact_id()"))
        now = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        with pytest.raises(BooksStillOpen) as refused:
            await statements.closed_period(stage.database, BEFORE, now)
    assert refused.value.closed_until is None or refused.value.closed_until < now
    assert (await closed(stage.database, BEFORE, now)).until == now > period.until


async def test_books_are_closed_for_who_may_only_read_too(stage: Stage) -> None:
    await whole(stage.database)
    async with stage.database.engine.connect() as connection:
        await connection.execution_options(postgresql_readonly=True)
        assert await ledger.watermark(connection) is not None


async def test_statement_that_does_not_add_up_is_broken_off(stage: Stage) -> None:
    period = await whole(stage.database)
    [account] = await accounts(stage.database, MERCHANT, period, "EUR")
    wrong = statements.Account("EUR", account.opening, Holdings(1, 2, 3))
    with pytest.raises(InvariantBroken, match="ends with"):
        _ = [line async for line in lines(stage.database, MERCHANT, period, wrong)]


FILL = """
DO $$
DECLARE made bigint;
BEGIN
    FOR i IN 1..{lines} LOOP
        INSERT INTO ledger_postings (posting_key, operation_id, lines)
        VALUES ('cap_' || i || ':capture:1', 'cap_' || i, 1) RETURNING id INTO made;
        INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase)
        VALUES (made, 1, 'provider:sandbox:clearing', 'merchant:mer_1:pending', 1, 'EUR', 'posted');
        COMMIT;
    END LOOP;
END $$
"""
LINES = 200_000 if SOAK else 2_000
MOST_BYTES = 6_000_000
"""Of a whole statement, however long: some pages of 500 lines, and what renders them."""


async def test_long_statement_is_written_in_bounded_memory(database_url: str) -> None:
    database = Database(database_url, statement_timeout_seconds=600)
    with psycopg.connect(database_url, autocommit=True) as filling:
        filling.execute(FILL.format(lines=LINES).encode())
        filling.execute("ANALYZE ledger_postings, ledger_transfers")
    period = await whole(database)
    table = await merchant_statement(database, MERCHANT, period, None)
    written = 0
    tracemalloc.start()
    async for chunk in rendered(table, "csv"):
        written += chunk.count("\r\n")
        last = chunk
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await database.close()
    assert written == 1 + LINES + 2
    assert last.rstrip().endswith(f"{LINES // 100}.00")
    assert peak < MOST_BYTES
