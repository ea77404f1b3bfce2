"""A posting is written once, whole, by one statement."""

import asyncio

import pytest
from sqlalchemy import func, select, table
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from recompense.domain.failures import InsufficientAvailableBalance, InvariantBroken
from recompense.ledger.postings import Posting
from recompense.persistence import ledger
from tests.database.ledger.steps import authorized, capture, payout, post
from tests.support.statements import transactions


async def _count(engine: AsyncEngine, name: str) -> int:
    async with engine.connect() as connection:
        result = await connection.execute(select(func.count()).select_from(table(name)))
        return int(result.scalar_one())


async def test_posting_is_one_statement(engine: AsyncEngine) -> None:
    await _count(engine, "ledger_postings")
    with transactions() as begun:
        await post(engine, authorized("pay_1", 100))
    assert [len(transaction) for transaction in begun] == [1]
    assert await _count(engine, "ledger_transfers") == 1


async def test_posting_through_a_session_commits_with_it(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await ledger.post(session, authorized("pay_1", 100))
        await session.rollback()
    assert await _count(engine, "ledger_postings") == 0
    async with AsyncSession(engine) as session, session.begin():
        assert (await ledger.post(session, authorized("pay_1", 100))).first
    assert await _count(engine, "ledger_postings") == 1


async def test_posting_twice_returns_the_first_and_writes_nothing(engine: AsyncEngine) -> None:
    first = await post(engine, authorized("pay_1", 100))
    again = await post(engine, authorized("pay_1", 100))
    assert first.first
    assert not again.first
    assert (again.id, again.at) == (first.id, first.at)
    assert await _count(engine, "ledger_transfers") == 1


async def test_posting_at_once_under_one_key_writes_one(engine: AsyncEngine) -> None:
    posting = authorized("pay_1", 100)
    results = await asyncio.gather(*(post(engine, posting) for _ in range(16)))
    assert [result.first for result in results].count(True) == 1
    assert len({result.id for result in results}) == 1
    assert await _count(engine, "ledger_transfers") == 1


@pytest.mark.parametrize(
    "other",
    [
        authorized("pay_1", 101),
        authorized("pay_1", 100, "JPY"),
        Posting("pay_1:authorize:1", authorized("pay_1", 100).transfers, "pay_2"),
        Posting("pay_1:authorize:1", authorized("pay_1", 100).transfers * 2, "pay_1"),
    ],
)
async def test_other_content_under_a_key_is_broken(engine: AsyncEngine, other: Posting) -> None:
    await post(engine, authorized("pay_1", 100))
    with pytest.raises(InvariantBroken, match="another content"):
        await post(engine, other)
    assert await _count(engine, "ledger_transfers") == 1


async def test_posting_is_read_back_as_it_was_built(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    await capture(engine, "pay_1", 60, capture_id="cap_1", available=True)
    async with engine.connect() as connection:
        capture_posting = await ledger.read_posting(connection, "cap_1:capture:1")
        assert await ledger.read_posting(connection, "cap_2:capture:1") is None
    assert capture_posting is not None
    assert (await post(engine, capture_posting)).first is False
    await post(engine, capture_posting.reversed("cap_1:capture.undo:1"))
    async with engine.connect() as connection:
        holds = await ledger.authorization_holds(connection, "pay_1")
    assert sorted(hold.remaining for hold in holds) == [40, 60]


async def test_refused_payout_leaves_the_transaction_usable(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        with pytest.raises(InsufficientAvailableBalance):
            await ledger.post(connection, payout("po_1", 1))
        await ledger.post(connection, authorized("pay_1", 100))
    assert await _count(engine, "ledger_postings") == 1
