"""Repairs of breaks on real Temporal: people, providers, cancels, terminations and resets."""

from __future__ import annotations

import asyncio
import gc
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from recompense.contracts.reconciliation import BreakAction, BreakKind, BreakView
from recompense.contracts.repairs import RepairInput, RepairWord
from recompense.contracts.search_attributes import NEEDS_ATTENTION, OPERATION_ID, PROVIDER
from recompense.desk import repairs
from recompense.domain.failures import Refused
from tests.live.test_reconciliation import balance, breaks, reconcile, settle
from tests.support.books import assert_books_agree
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import eventually, reset_points_of, reset_workflow, state_is
from workflows.authorize import AuthorizePayment

LOSSES = "platform:losses"


@pytest.fixture
def day() -> date:
    """A date of this test's own: all tests of a session share one Temporal."""
    return date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)


async def missing(platform: Platform, day: date) -> str:
    """A capture of 200.00 EUR that no report has: a loss of it takes two people."""
    payment = authorize_input(capture_method="automatic", amount=20_000)
    decided = await platform.decide(AuthorizePayment, payment)
    assert decided.resource.status == "captured"
    settle(platform, day, corrupt="missing")
    assert (await reconcile(platform, day)).breaks == 1
    (found,) = await breaks(platform)
    assert found["kind"] == "missing_at_provider"
    return str(found["id"])


async def ask(platform: Platform, break_id: str, action: str, actor: str = "finance") -> BreakView:
    return await repairs.ask(
        platform.client, platform.database, break_id, BreakAction(action), actor, "agreed"
    )


def repair(platform: Platform, break_id: str) -> WorkflowHandle[Any, Any]:
    return platform.client.get_workflow_handle(f"repair/{break_id}")


async def audited(platform: Platform) -> list[str]:
    rows = await platform.rows(
        "SELECT action FROM audit_log WHERE target LIKE 'break/%' ORDER BY id"
    )
    return [row["action"] for row in rows]


async def closed(handle: WorkflowHandle[Any, Any]) -> Any:
    async def over() -> Any:
        described = await handle.describe()
        return described if described.close_time is not None else None

    return await eventually(over)


async def test_repair_is_seen_in_temporal_and_resolves_its_break(
    platform: Platform, day: date
) -> None:
    break_id = await missing(platform, day)
    done = await ask(platform, break_id, "post")
    assert done.status == "resolved"
    handle = repair(platform, break_id)
    assert await handle.result() == "resolved: post by finance"
    described = await handle.describe()
    shown = described.typed_search_attributes
    assert (shown.get(OPERATION_ID), shown.get(PROVIDER)) == (break_id, "sandbox")
    assert await described.static_summary() == "Repair a break of sandbox: missing at provider"
    assert await balance(platform, "suspense:sandbox") == 20_000
    with pytest.raises(Refused) as refused:
        await ask(platform, break_id, "accept", "chief")
    assert refused.value.code == "break_not_open"
    await assert_books_agree(platform)


async def test_large_write_off_waits_for_a_second_person(platform: Platform, day: date) -> None:
    break_id = await missing(platform, day)
    assert (await ask(platform, break_id, "write_off")).status == "open"
    handle = repair(platform, break_id)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    with pytest.raises(Refused) as refused:
        await ask(platform, break_id, "write_off")
    assert refused.value.code == "four_eyes"
    done = await ask(platform, break_id, "write_off", "chief")
    assert done.resolution is not None
    assert (done.resolution.actor, done.resolution.approved_by) == ("finance", "chief")
    assert await handle.result() == "resolved: write_off by finance"
    assert await balance(platform, LOSSES) == 20_000
    assert await audited(platform) == ["write_off_asked", "break_write_off"]
    await assert_books_agree(platform)


async def test_canceled_repair_is_withdrawn_and_may_be_asked_for_again(
    platform: Platform, day: date
) -> None:
    break_id = await missing(platform, day)
    await ask(platform, break_id, "write_off")
    await repair(platform, break_id).cancel()
    described = await closed(repair(platform, break_id))
    assert described.status is WorkflowExecutionStatus.CANCELED
    (row,) = await breaks(platform)
    assert (row["status"], row["repair"], row["write_off_asked_by"]) == ("open", None, None)
    assert (await ask(platform, break_id, "write_off", "chief")).status == "open"
    assert (await ask(platform, break_id, "accept")).status == "resolved"
    assert await balance(platform, LOSSES) == 0


async def test_terminated_repair_leaves_its_break_open_and_is_taken_over(
    platform: Platform, day: date
) -> None:
    break_id = await missing(platform, day)
    await ask(platform, break_id, "write_off")
    await repair(platform, break_id).terminate("a test")
    (row,) = await breaks(platform)
    assert row["status"] == "open"
    done = await ask(platform, break_id, "write_off", "chief")
    assert done.resolution is not None
    assert (done.resolution.actor, done.resolution.approved_by) == ("finance", "chief")
    await assert_books_agree(platform)


@pytest.mark.parametrize("reapply", [True, False])
async def test_reset_at_any_event_books_nothing_twice(
    platform: Platform, day: date, *, reapply: bool
) -> None:
    break_id = await missing(platform, day)
    await ask(platform, break_id, "write_off")
    await ask(platform, break_id, "write_off", "chief")
    handle = repair(platform, break_id)
    await handle.result()
    run_id, points = await reset_points_of(handle)
    places = [event_id for event_id, kind in points if kind == "completed"]
    assert len(places) >= 2
    for place in places:
        await reset_workflow(platform, handle.id, run_id, place, reapply=reapply)
        if not reapply:
            # A run that has lost the second word waits for it: the next word shows it the row.
            with pytest.raises(Refused):
                await ask(platform, break_id, "accept", "third")
        assert await handle.result() == "resolved: write_off by finance"
    assert await balance(platform, LOSSES) == 20_000
    assert await audited(platform) == ["write_off_asked", "break_write_off"]
    told = await platform.rows("SELECT 1 FROM events WHERE type = 'break.resolved'")
    assert len(told) == 1
    await assert_books_agree(platform)


async def unknown(platform: Platform, day: date) -> tuple[str, Any, asyncio.Task[Any]]:
    """A break about an authorization of which the provider does not answer, its saga, and its
    caller.
    """
    saga = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=saga.payment_id)
    waiting = asyncio.create_task(platform.decide(AuthorizePayment, saga))
    await eventually(lambda: state_is(platform, saga, "parked"), 90)
    settle(platform, day)
    assert (await reconcile(platform, day)).status == "breaks"
    (found,) = await breaks(platform)
    assert (found["kind"], found["payment_id"]) == ("state_mismatch", saga.payment_id)
    return str(found["id"]), saga, waiting


async def test_provider_that_can_say_carries_the_saga_on_before_the_break_is_resolved(
    platform: Platform, day: date
) -> None:
    break_id, _, waiting = await unknown(platform, day)
    platform.sandbox.clear_faults()
    await ask(platform, break_id, "post")
    assert await repair(platform, break_id).result() == "resolved: post by finance"
    assert (await waiting).resource.status == "authorized"
    assert await audited(platform) == ["break_look_up_asked", "break_post"]
    await assert_books_agree(platform)


async def test_provider_that_cannot_say_is_asked_again_while_the_break_stays_open(
    platform: Platform, day: date
) -> None:
    break_id, _, waiting = await unknown(platform, day)
    assert (await ask(platform, break_id, "post")).status == "open"
    handle = repair(platform, break_id)

    async def asks_for_attention() -> bool:
        described = await handle.describe()
        return bool(described.typed_search_attributes.get(NEEDS_ATTENTION))

    await eventually(asks_for_attention, 60)
    (row,) = await breaks(platform)
    assert row["status"] == "open"
    platform.sandbox.clear_faults()
    assert await asyncio.wait_for(handle.result(), 60) == "resolved: post by finance"
    assert not await asks_for_attention()
    assert (await waiting).resource.status == "authorized"
    await assert_books_agree(platform)


async def test_another_action_takes_the_place_of_a_look_up(platform: Platform, day: date) -> None:
    break_id, saga, waiting = await unknown(platform, day)
    await ask(platform, break_id, "post")
    done = await ask(platform, break_id, "accept", "chief")
    assert done.resolution is not None
    assert (done.resolution.action, done.resolution.actor) == ("accept", "chief")
    assert await repair(platform, break_id).result() == "resolved: accept by chief"
    assert await state_is(platform, saga, "parked")
    waiting.cancel()


async def test_word_that_temporal_does_not_take_is_told_once_and_logs_nothing(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = Client(
        platform.client.service_client,
        namespace="nobody-has-made-it",
        data_converter=platform.client.data_converter,
    )
    nothing = RepairInput(break_id="brk_none", provider="sandbox", kind=BreakKind.LATE)
    word = RepairWord(key="a word", action=BreakAction.ACCEPT, actor="finance", reason="agreed")
    # What earlier tests have left is told now, and is not this one's.
    gc.collect()
    caplog.clear()
    with pytest.raises(RPCError):
        await repairs.handed_in(elsewhere, nothing, word)
    gc.collect()
    assert "never retrieved" not in caplog.text
