"""A rolling reserve: nothing takes from it, nothing of it changes, and it becomes free once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import ProgrammingError

from recompense.contracts.steps import PageRequest
from recompense.ledger.results import MerchantBalance
from recompense.persistence.ledger import merchant_balances
from tests.support.commit_proxy import commit_proxy
from tests.support.stage import Stage, assert_in_order, staged
from tests.support.step_stories import (
    AMOUNT,
    AT_ONCE,
    KEPT_LONG_ENOUGH,
    MADE,
    MERCHANT,
    PAYOUT,
    REFUND,
    record,
)

PAGE = PageRequest(page_size=10)
KEPT = AMOUNT // 5


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    """A merchant with a payment of which the reserve keeps a fifth."""
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await stage.set_up(
            "INSERT INTO merchants (id, name, country, payout, fees, reserve, availability_rule,"
            " availability_days, created_by) VALUES (%s, 'A', 'DE', '{}', '{}',"
            """ '{"basis_points": 2000, "days": 30}', 'on_capture', 0, 'test')""",
            MERCHANT,
        )
        admitted = await stage.given("authorization.admit", AT_ONCE)
        recorded = await stage.given("authorization.record", record(admitted.effect, MADE))
        await stage.given("authorization.record_capture", record(recorded.next_effect, MADE))
        yield stage


async def balance(stage: Stage) -> MerchantBalance:
    async with stage.database.transaction() as session:
        [euro] = await merchant_balances(session, MERCHANT)
        return euro


async def run(stage: Stage, statement: str) -> None:
    async with stage.database.engine.begin() as connection:
        await connection.exec_driver_sql(statement)


async def test_share_is_kept_until_its_day(stage: Stage) -> None:
    assert (await balance(stage)).available == AMOUNT - KEPT
    assert (await balance(stage)).reserve == KEPT
    assert (await stage.given("availability.release", PAGE)).handled == 0
    await stage.set_up(KEPT_LONG_ENOUGH)
    assert (await stage.given("availability.release", PAGE)).handled == 1
    assert (await balance(stage)).available == AMOUNT
    assert (await balance(stage)).reserve == 0
    assert (await stage.given("availability.release", PAGE)).handled == 0
    await assert_in_order(stage.database)


@pytest.mark.parametrize("name", ["refund", "payout"])
async def test_neither_refund_nor_payout_takes_from_the_reserve(stage: Stage, name: str) -> None:
    saga = {"refund": REFUND, "payout": PAYOUT}[name]
    more = saga.model_copy(update={"amount": AMOUNT - KEPT + 1})
    admitted = await stage.given(f"{name}.admit", more)
    assert admitted.refusal.code == "insufficient_available_balance"
    assert (await balance(stage)).reserve == KEPT


async def test_two_sweeps_at_once_release_a_tranche_once(stage: Stage) -> None:
    await stage.set_up(KEPT_LONG_ENOUGH)
    await asyncio.gather(*(stage.given("availability.release", PAGE) for _ in range(4)))
    assert (await balance(stage)).available == AMOUNT
    await assert_in_order(stage.database)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE reserve_tranches SET amount = amount - 1",
        "UPDATE reserve_tranches SET release_at = now()",
        "UPDATE reserve_tranches SET merchant_id = 'mer_2', released_at = now()",
        "UPDATE reserve_tranches SET released_at = NULL",
        "DELETE FROM reserve_tranches",
        "TRUNCATE reserve_tranches",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
async def test_tranche_is_a_fact(stage: Stage, change: str, role: str) -> None:
    with pytest.raises(ProgrammingError, match=r"nothing else of it changes|append-only"):
        await run(stage, f"SET LOCAL session_replication_role = {role}; {change}")


async def test_released_tranche_is_not_released_again(stage: Stage) -> None:
    await run(stage, "UPDATE reserve_tranches SET released_at = now()")
    with pytest.raises(ProgrammingError, match="released once"):
        await run(stage, "UPDATE reserve_tranches SET released_at = now()")
