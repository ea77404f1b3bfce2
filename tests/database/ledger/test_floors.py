"""No floored balance falls below its floor, whoever comes at once."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.domain.failures import InsufficientAvailableBalance
from recompense.ledger import templates
from recompense.persistence import ledger
from tests.database.ledger.steps import (
    MERCHANT,
    make_available,
    merchant_balance,
    payout,
    post,
    posted_or_refused,
    verified,
)


async def test_payouts_at_once_take_no_more_than_is_there(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    taken = await asyncio.gather(
        *(posted_or_refused(engine, payout(f"po_{number}", 9)) for number in range(30))
    )
    assert taken.count(True) == 11
    balance = await merchant_balance(engine)
    assert (balance.available, balance.in_transit) == (1, 99)


async def test_first_debits_at_once_of_an_unknown_account_are_refused(engine: AsyncEngine) -> None:
    taken = await asyncio.gather(
        *(posted_or_refused(engine, payout(f"po_{number}", 1)) for number in range(10))
    )
    assert not any(taken)
    assert (await verified(engine)).in_order


async def test_money_in_and_out_at_once_ends_in_the_sum(engine: AsyncEngine) -> None:
    credits = [make_available(engine, 10, str(number)) for number in range(10)]
    debits = [posted_or_refused(engine, payout(f"po_{number}", 7)) for number in range(20)]
    results = await asyncio.gather(*credits, *debits)
    balance = await merchant_balance(engine)
    assert balance.in_transit == 7 * results.count(True)
    assert balance.available == 100 - balance.in_transit
    assert (await verified(engine)).in_order


async def test_released_payout_is_available_again(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    await post(engine, payout("po_1", 100))
    assert not await posted_or_refused(engine, payout("po_2", 1))
    async with engine.begin() as connection:
        holds = await ledger.operation_holds(connection, "po_1")
        await ledger.post(connection, templates.payout_failed("po_1:release:1", holds=holds))
    balance = await merchant_balance(engine)
    assert (balance.available, balance.in_transit) == (100, 0)
    assert await posted_or_refused(engine, payout("po_2", 100))


async def test_paid_payout_is_gone(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    await post(engine, payout("po_1", 80))
    async with engine.begin() as connection:
        holds = await ledger.operation_holds(connection, "po_1")
        await ledger.post(connection, templates.payout_paid("po_1:pay:1", holds=holds))
    balance = await merchant_balance(engine)
    assert (balance.available, balance.in_transit) == (20, 0)


async def test_operation_whose_id_begins_like_another_has_its_own_holds(
    engine: AsyncEngine,
) -> None:
    await make_available(engine, 100)
    await post(engine, payout("po_1", 30))
    await post(engine, payout("po_12", 40))
    async with engine.connect() as connection:
        [hold] = await ledger.operation_holds(connection, "po_1")
    assert hold.remaining == 30


async def test_agreed_overdraft_lowers_the_floor(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await ledger.set_floor(connection, MERCHANT, "EUR", -50)
        assert await ledger.lock_available(connection, MERCHANT, "EUR") == 50
    assert await posted_or_refused(engine, payout("po_1", 50))
    assert not await posted_or_refused(engine, payout("po_2", 1))
    with pytest.raises(InsufficientAvailableBalance):
        async with engine.begin() as connection:
            await ledger.set_floor(connection, MERCHANT, "EUR", -49)


async def test_floor_of_one_currency_is_not_helped_by_another(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    assert not await posted_or_refused(engine, payout("po_1", 1, "JPY"))


async def test_locked_balance_makes_others_wait_for_the_decision(engine: AsyncEngine) -> None:
    await make_available(engine, 100)
    async with engine.begin() as connection:
        assert await ledger.lock_available(connection, MERCHANT, "EUR") == 100
        other = asyncio.create_task(posted_or_refused(engine, payout("po_2", 60)))
        await ledger.post(connection, payout("po_1", 60))
        assert not other.done()
    assert await other is False
