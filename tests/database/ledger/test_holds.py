"""A hold is used up to its amount, never beyond, whoever comes at once."""

import asyncio

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from recompense.domain.failures import InvariantBroken
from recompense.ledger import templates
from recompense.ledger.postings import OpenHold, Posting
from recompense.persistence import ledger
from tests.database.ledger.steps import MERCHANT, authorized, capture, post


def _captured(name: str, holds: list[OpenHold], amount: int) -> Posting:
    return templates.captured(
        f"cap_{name}:capture:1",
        payment_id="pay_1",
        holds=holds,
        merchant_id=MERCHANT,
        amount=amount,
        fee=0,
        currency="EUR",
    )


async def _holds(engine: AsyncEngine) -> list[OpenHold]:
    async with engine.connect() as connection:
        return await ledger.authorization_holds(connection, "pay_1")


async def test_hold_is_used_in_parts_and_the_rest_given_back(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    await capture(engine, "pay_1", 30, capture_id="cap_1")
    await capture(engine, "pay_1", 50, capture_id="cap_2")
    [hold] = await _holds(engine)
    assert hold.remaining == 20
    await post(engine, templates.voided("pay_1:void:1", payment_id="pay_1", holds=[hold]))
    assert await _holds(engine) == []


async def test_use_beyond_the_amount_is_refused(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    stale = await _holds(engine)
    await post(engine, _captured("1", stale, 60))
    with pytest.raises(InvariantBroken, match="ledger_hold_covers"):
        await post(engine, _captured("2", stale, 41))
    with pytest.raises(InvariantBroken, match="ledger_hold_covers"):
        await post(engine, templates.voided("pay_1:void:1", payment_id="pay_1", holds=stale))
    [hold] = await _holds(engine)
    assert hold.remaining == 40


async def test_uses_at_once_beyond_the_amount_are_refused(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_1", 100))
    stale = await _holds(engine)
    results = await asyncio.gather(
        *(post(engine, _captured(str(number), stale, 30)) for number in range(12)),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, InvariantBroken)]
    assert len(refused) == 9
    [hold] = await _holds(engine)
    assert hold.remaining == 10


async def test_use_that_a_repeatable_read_did_not_see_fails_to_serialize(
    engine: AsyncEngine,
) -> None:
    await post(engine, authorized("pay_1", 100))
    stale = await _holds(engine)
    repeatable = engine.execution_options(isolation_level="REPEATABLE READ")
    async with repeatable.connect() as connection:
        assert await ledger.authorization_holds(connection, "pay_1") == stale
        await post(engine, _captured("1", stale, 60))
        with pytest.raises(OperationalError, match="could not serialize"):
            await ledger.post(connection, _captured("2", stale, 60))


async def test_use_of_a_hold_that_never_was_is_refused(engine: AsyncEngine) -> None:
    await post(engine, authorized("pay_2", 100))
    async with engine.connect() as connection:
        [hold] = await ledger.authorization_holds(connection, "pay_2")
    unknown = OpenHold(
        Posting("pay_3:authorize:1", authorized("pay_2", 1).transfers).ref(1),
        hold.debit,
        hold.credit,
        hold.currency,
        hold.remaining,
    )
    with pytest.raises(InvariantBroken, match="ledger_hold_exists"):
        await post(engine, _captured("1", [unknown], 10))
