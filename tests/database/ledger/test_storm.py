"""The bank test: random postings from many writers, while every read must balance."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recompense.domain.failures import InsufficientAvailableBalance
from recompense.ledger.accounts import merchant_available
from recompense.ledger.postings import Posting, Transfer
from recompense.persistence import ledger, ledger_sql
from recompense.persistence.sealer import seal_once, snapshot_once
from tests.database.ledger.steps import post, seal, verified

MERCHANTS = [f"mer_{number}" for number in range(5)]
START, WRITERS, POSTINGS = 1_000, 8, 40


def _between(key: str, payer: str, payee: str, amount: int) -> Posting:
    move = Transfer(merchant_available(payer), merchant_available(payee), amount, "EUR")
    return Posting(key, (move,))


async def _open_accounts(engine: AsyncEngine) -> None:
    transfers = tuple(
        Transfer("bank:main:cash", merchant_available(merchant), START, "EUR")
        for merchant in MERCHANTS
    )
    await post(engine, Posting("bank:open:1", transfers))


async def _write(engine: AsyncEngine, writer: int, seed: int) -> None:
    choose = random.Random(f"{seed}.{writer}")  # noqa: S311 - a test's choice
    for number in range(POSTINGS):
        payer, payee = choose.sample(MERCHANTS, 2)
        posting = _between(f"w{writer}:move:{number + 1}", payer, payee, choose.randint(1, 400))
        async with engine.begin() as connection:
            # In one order, or two writers could each hold what the other one waits for.
            for merchant in sorted([payer, payee]):
                await ledger.lock_available(connection, merchant, "EUR")
            with suppress(InsufficientAvailableBalance):
                await ledger.post(connection, posting)


async def _until(stop: asyncio.Event, act: Callable[[], Awaitable[None]]) -> int:
    times = 0
    while not stop.is_set():
        await act()
        times += 1
        await asyncio.sleep(0.005)
    return times


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_read_during_the_storm_sums_to_zero(engine: AsyncEngine, seed: int) -> None:
    await _open_accounts(engine)
    stop = asyncio.Event()

    async def read() -> None:
        async with engine.connect() as connection:
            [totals] = (await ledger.trial_balance(connection)).data
            assert totals.balanced
            assert await _all_available(connection) == START * len(MERCHANTS)

    async def keep_sealing() -> None:
        async with engine.begin() as connection:
            await seal_once(connection, block_size=20)
        async with engine.begin() as connection:
            await snapshot_once(connection, every=30)

    readers = [asyncio.create_task(_until(stop, read)) for _ in range(3)]
    sealer = asyncio.create_task(_until(stop, keep_sealing))
    await asyncio.gather(*(_write(engine, writer, seed) for writer in range(WRITERS)))
    stop.set()
    assert min(await asyncio.gather(*readers, sealer)) > 0
    await seal(engine, snapshot=True)
    report = await verified(engine)
    assert report.first_wrong is None


async def _all_available(connection: AsyncConnection) -> int:
    """One statement, so one moment: what all merchants have together never changes."""
    names = [merchant_available(merchant) for merchant in MERCHANTS]
    rows = await connection.execute(
        ledger_sql.TOTALS, {"accounts": names, "at": datetime.max.replace(tzinfo=UTC)}
    )
    return sum(row.credits_posted - row.debits_posted for row in rows)
