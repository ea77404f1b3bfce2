"""When captured money may be used: at once, after some days, or not before the provider settles."""

from __future__ import annotations

from datetime import UTC, time

import pytest

from recompense.contracts.sagas import SAGA_TASK_QUEUE, RefundInput, SweepInput
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.ledger import merchant_balances
from tests.support.books import assert_books_agree
from tests.support.platform import MERCHANT, Platform
from tests.support.scenes import captured, on
from tests.support.step_stories import KEPT_LONG_ENOUGH
from workflows.refund import RefundPayment
from workflows.sweeps import ReleaseAvailability


async def balance(platform: Platform) -> tuple[int, int]:
    async with platform.database.transaction() as session:
        (euro,) = await merchant_balances(session, MERCHANT)
    return euro.pending, euro.available


async def sweep(platform: Platform) -> int:
    swept: int = await platform.client.execute_workflow(
        ReleaseAvailability.run,
        SweepInput(),
        id=new_id(IdPrefix.EVENT),
        task_queue=SAGA_TASK_QUEUE,
    )
    return swept


@pytest.mark.parametrize(
    ("rule", "at_once", "after_a_day"),
    [
        ("on_capture", (0, 9_700), (0, 9_700)),
        ("after_days", (9_700, 0), (0, 9_700)),
        ("on_settlement", (9_700, 0), (9_700, 0)),
    ],
)
async def test_rule_decides_when_money_is_available(
    platform: Platform, rule: str, at_once: tuple[int, int], after_a_day: tuple[int, int]
) -> None:
    await platform.rows_changed(
        f"UPDATE merchants SET availability_rule = '{rule}', availability_days = 1,"  # noqa: S608 - our own words
        """ fees = '{"basis_points": 300}'"""
    )
    await captured(platform)
    assert await sweep(platform) == 0
    assert await balance(platform) == at_once
    await platform.rows_changed(
        "UPDATE captures SET available_at = now() - interval '1 minute'"
        " WHERE available_at IS NOT NULL"
    )
    assert await sweep(platform) == (1 if rule == "after_days" else 0)
    assert await balance(platform) == after_a_day
    await assert_books_agree(platform)


async def test_refund_takes_the_payments_own_pending_money_first(platform: Platform) -> None:
    await platform.rows_changed(
        "UPDATE merchants SET availability_rule = 'after_days', availability_days = 1"
    )
    payment = await captured(platform)
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), amount=4_000, **on(payment))
    assert (await platform.decide(RefundPayment, refund)).resource.status == "succeeded"
    assert await balance(platform) == (6_000, 0)
    await platform.rows_changed("UPDATE captures SET available_at = now() - interval '1 minute'")
    assert await sweep(platform) == 1
    assert await balance(platform) == (0, 6_000)
    await assert_books_agree(platform)


async def test_reserve_is_kept_and_released_by_the_sweep(platform: Platform) -> None:
    await platform.rows_changed(
        """UPDATE merchants SET reserve = '{"basis_points": 1000, "days": 30}'"""
    )
    await captured(platform)
    assert await balance(platform) == (0, 9_000)
    assert await sweep(platform) == 0
    for statement in KEPT_LONG_ENOUGH.strip().split("\n"):
        await platform.rows_changed(statement)
    assert await sweep(platform) == 1
    assert await balance(platform) == (0, 10_000)
    await assert_books_agree(platform)


async def test_business_days_begin_at_midnight(platform: Platform) -> None:
    await platform.rows_changed(
        "UPDATE merchants SET availability_rule = 'after_days', availability_days = 1,"
        " availability_business_days = true"
    )
    await captured(platform)
    [capture] = await platform.rows("SELECT created_at, available_at FROM captures")
    due = capture["available_at"].astimezone(UTC)
    assert due.time() == time.min
    assert due.weekday() < 5
    assert due.date() > capture["created_at"].astimezone(UTC).date()
