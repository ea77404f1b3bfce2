"""The chain leaves no gap, whatever order transactions end in, and one sealer works at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recompense import upkeep
from recompense.domain.failures import InvariantBroken
from recompense.persistence import ledger, watch_sql
from recompense.persistence.sealer import _SNAPSHOT, Seal, seal_once, snapshot_once
from tests.database.ledger.steps import authorized, post, seal, tamper, verified


async def _seal_once(engine: AsyncEngine) -> Seal | None:
    async with engine.begin() as connection:
        return await seal_once(connection)


async def _sealed_postings(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        result = await connection.execute(
            text("SELECT CAST(coalesce(sum(postings), 0) AS bigint) FROM ledger_seals")
        )
        return int(result.scalar_one())


async def test_open_transaction_holds_the_seal_back_until_it_ends(
    engine: AsyncEngine,
) -> None:
    async with engine.connect() as late:
        await ledger.post(late, authorized("pay_late", 1))
        for number in range(3):
            await post(engine, authorized(f"pay_{number}", 1))
        assert await _seal_once(engine) is None
        await late.commit()
    await seal(engine)
    assert await _sealed_postings(engine) == 4
    assert (await verified(engine)).in_order


async def test_rolled_back_posting_leaves_no_gap(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 1))
    async with engine.connect() as connection:
        await ledger.post(connection, authorized("pay_2", 1))
        await connection.rollback()
    await post(engine, authorized("pay_3", 1))
    await seal(engine)
    assert await _sealed_postings(engine) == 2
    assert (await verified(engine)).in_order


async def test_backlog_is_sealed_in_blocks(engine: AsyncEngine) -> None:
    for number in range(7):
        await post(engine, authorized(f"pay_{number}", 1))
    assert await seal(engine, block_size=3) >= 3
    assert await _sealed_postings(engine) == 7
    assert (await verified(engine)).in_order


async def test_transaction_larger_than_a_block_is_sealed_whole(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for number in range(5):
            await ledger.post(connection, authorized(f"pay_{number}", 1))
    await post(engine, authorized("pay_after", 1))
    await seal(engine, block_size=2)
    assert await _sealed_postings(engine) == 6
    assert (await verified(engine)).in_order


async def test_nothing_new_makes_no_seal(engine: AsyncEngine) -> None:
    assert await _seal_once(engine) is None
    await post(engine, authorized("pay_1", 1))
    await seal(engine)
    assert await _seal_once(engine) is None


async def test_second_sealer_leaves_the_work_to_the_first(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 1))
    async with asyncio.timeout(30), engine.connect() as first:
        while await seal_once(first) is None:
            await first.rollback()
            await asyncio.sleep(0.01)
        assert await _seal_once(engine) is None
        await first.commit()
    assert await _sealed_postings(engine) == 1


async def test_cluster_whose_ids_are_behind_the_chain_is_not_sealed(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 1))
    await seal(engine)
    await tamper(engine, "UPDATE ledger_seals SET through = '99999999'")
    with pytest.raises(InvariantBroken, match="lift its transaction ids"):
        await _seal_once(engine)


async def test_snapshots_are_taken_once_enough_is_sealed(engine: AsyncEngine) -> None:
    for number in range(3):
        await post(engine, authorized(f"pay_{number}", 1))
    await seal(engine)
    async with engine.begin() as connection:
        assert await snapshot_once(connection, every=4) == 0
        assert await snapshot_once(connection, every=3) == 2
        assert await snapshot_once(connection, every=3) == 0


async def test_backlog_of_snapshots_is_taken_in_rounds(engine: AsyncEngine) -> None:
    for number in range(5):
        await post(engine, authorized(f"pay_{number}", 10**number))
    await seal(engine, block_size=1)
    rounds = 0
    while await _snapshots_taken(engine, most=2):
        rounds += 1
        async with engine.connect() as connection:
            [balance] = await ledger.balances(connection, "provider:sandbox:clearing")
            watched = await connection.execute(text(watch_sql.TRIAL_BALANCE))
        assert balance.debits_pending == 11_111
        assert watched.all() == []
    assert rounds == 3
    assert (await verified(engine)).in_order


async def test_all_rounds_that_are_due_are_taken_at_once(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await post(engine, authorized(f"pay_{number}", 1))
    await seal(engine, block_size=1)
    monkeypatch.setattr(upkeep, "SNAPSHOT_SECONDS", 0)
    monkeypatch.setattr(upkeep, "snapshot_once", partial(snapshot_once, every=1, most=2))
    monkeypatch.setattr(upkeep, "seal_once", _only_one_turn())
    with pytest.raises(asyncio.CancelledError):
        await upkeep.keep_sealing(engine, 0)
    async with engine.connect() as connection:
        rounds = await connection.execute(
            text("SELECT count(DISTINCT through) FROM ledger_snapshots")
        )
    assert rounds.scalar_one() == 3


def _only_one_turn() -> Callable[[AsyncConnection], Awaitable[None]]:
    turns = iter([True])

    async def seal_nothing(_: AsyncConnection) -> None:
        if not next(turns, False):
            raise asyncio.CancelledError

    return seal_nothing


async def test_seal_larger_than_a_round_of_snapshots_is_taken_whole(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for number in range(3):
            await ledger.post(connection, authorized(f"pay_{number}", 1))
    await seal(engine)
    assert await _snapshots_taken(engine, most=1) == 2
    assert await _snapshots_taken(engine, most=1) == 0


async def _snapshots_taken(engine: AsyncEngine, *, most: int) -> int:
    async with engine.begin() as connection:
        return await snapshot_once(connection, every=1, most=most)


MANY = 4_000
MANY_MERCHANTS = f"""
WITH posted AS (
    INSERT INTO ledger_postings (posting_key, operation_id, payment_id, lines)
    SELECT 'pay_' || i || ':authorize:1', 'pay_' || i, 'pay_' || i, 1
    FROM generate_series(1, {MANY}) AS i RETURNING id, created, at
)
INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase,
                              created, at)
SELECT id, 1, 'provider:sandbox:clearing', 'merchant:' || id || ':pending', 1, 'EUR', 'pending',
       created, at
FROM posted
"""  # noqa: S608 - a constant


async def test_first_snapshots_of_many_accounts_cost_no_square_of_them(engine: AsyncEngine) -> None:
    """Statistics that call the table empty let the planner read it from end to end for each one."""
    await tamper(engine, MANY_MERCHANTS)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE ledger_snapshots"))
    await seal(engine, block_size=MANY)
    async with engine.begin() as connection:
        explained = await connection.execute(
            text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {_SNAPSHOT}"), {"most": MANY}
        )
        [plan] = explained.scalar_one()
        taken = await connection.execute(text("SELECT count(*) FROM ledger_snapshots"))
        assert taken.scalar_one() == MANY + 1
    assert plan["Plan"]["Shared Hit Blocks"] < 12 * MANY


async def test_posting_right_where_a_snapshot_ends_is_counted_once(engine: AsyncEngine) -> None:
    for number in range(3):
        await post(engine, authorized(f"pay_{number}", 10**number))
    async with asyncio.timeout(30):
        while not await _seal_a_part(engine):
            await asyncio.sleep(0.01)
    async with engine.begin() as connection:
        assert await snapshot_once(connection, every=1) > 0
        [balance] = await ledger.balances(connection, "provider:sandbox:clearing")
        [totals] = (await ledger.trial_balance(connection)).data
    assert balance.debits_pending == totals.credits_pending == 111


async def _seal_a_part(engine: AsyncEngine) -> bool:
    async with engine.begin() as connection:
        sealed = await seal_once(connection, block_size=1)
        return sealed is not None and sealed.more


async def test_balance_since_a_snapshot_reads_only_what_is_newer(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    await seal(engine, snapshot=True)
    await post(engine, authorized("pay_2", 10))
    # Were the first entry read again, the balance would now be another.
    await tamper(engine, "UPDATE ledger_transfers SET amount = 999 WHERE amount = 100")
    async with engine.connect() as connection:
        [balance] = await ledger.balances(connection, "provider:sandbox:clearing")
    assert balance.debits_pending == 110
