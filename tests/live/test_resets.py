"""Resets at any event, and copies under another id: safe, and they carry the operation on."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    PayoutReview,
    PayoutReviewDecision,
)
from tests.support.books import assert_books_agree
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import (
    captured,
    eventually,
    has_effect,
    operation,
    payout_input,
    reset,
    review,
)
from workflows.authorize import AuthorizePayment
from workflows.payout import Payout


async def test_reset_at_every_event_of_a_finished_authorization_changes_nothing(
    platform: Platform,
) -> None:
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    await platform.handle(authorize).result()
    history = await platform.handle(authorize).fetch_history()
    points = [
        event.event_id
        for event in history.events
        if event.event_type
        in (
            EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
            EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        )
    ]
    assert len(points) == 4
    for event_id in points:
        await reset(platform, authorize, history.run_id, event_id)
        result = await platform.handle(authorize).result()
        assert result["ended"] == "authorized"
    assert len(platform.sandbox.effects(authorize.payment_id)) == 1
    assert (await operation(platform, authorize))["attempt"] == 1
    runs = await platform.rows("SELECT 1 FROM operation_runs")
    assert len(runs) == 5
    await assert_books_agree(platform)


async def test_reset_of_a_compensated_saga_pays_afresh_once(platform: Platform) -> None:
    authorize = authorize_input()
    platform.sandbox.arm("authorize", "unavailable", times=-1, reference=authorize.payment_id)
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "failed"
    platform.sandbox.clear_faults()
    history = await platform.handle(authorize).fetch_history()
    await reset(platform, authorize, history.run_id, 4)
    result = await platform.handle(authorize).result()
    assert (result["ended"], result["attempt"]) == ("authorized", 2)
    keys = [effect["effect_key"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert keys == [f"{authorize.payment_id}:authorize:2"]
    await assert_books_agree(platform)


async def test_reset_of_a_declined_payment_declines_again(platform: Platform) -> None:
    authorize = authorize_input(token="tok_declined")
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "declined"
    history = await platform.handle(authorize).fetch_history()
    await reset(platform, authorize, history.run_id, 4)
    result = await platform.handle(authorize).result()
    assert result["resource"]["status"] == "declined"
    assert platform.sandbox.effects(authorize.payment_id) == []


async def test_copy_under_another_id_makes_no_second_effect(platform: Platform) -> None:
    authorize = authorize_input()
    platform.sandbox.arm("authorize", "slow", reference=authorize.payment_id, delay_ms=1_000)
    decision = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await eventually(lambda: has_effect(platform, authorize, "authorize"))
    copy = await platform.client.execute_workflow(
        AuthorizePayment.run, authorize, id="somebody/elses/id", task_queue=SAGA_TASK_QUEUE
    )
    assert (await decision).resource.status == "authorized"
    assert copy.resource is not None
    assert copy.resource["status"] == "authorized"
    assert len(platform.sandbox.effects(authorize.payment_id)) == 1
    await assert_books_agree(platform)


@pytest.mark.parametrize(
    ("decision", "status"),
    [(PayoutReviewDecision.APPROVE, "paid"), (PayoutReviewDecision.REJECT, "rejected")],
)
async def test_reset_of_a_reviewed_payout_asks_nobody_again(
    platform: Platform, decision: PayoutReviewDecision, status: str
) -> None:
    await captured(platform)
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    payout = payout_input()
    await platform.decide(Payout, payout)
    await review(platform, payout, PayoutReview(decision=decision, actor="chief"))
    await platform.handle(payout).result()
    history = await platform.handle(payout).fetch_history()
    await reset(platform, payout, history.run_id, 4)
    result = await platform.handle(payout).result()
    assert result["attempt"] == 1
    (row,) = await platform.rows("SELECT status FROM payouts WHERE id = :id", id=payout.payout_id)
    assert row["status"] == status
    assert len(platform.sandbox.effects(payout.payout_id)) == (1 if status == "paid" else 0)
    await assert_books_agree(platform)
