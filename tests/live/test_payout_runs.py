"""Payout runs on real Temporal: pages, failures, resumes, resets and schedules that fire."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import ScheduleBackfill, ScheduleOverlapPolicy, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from recompense.contracts.payout_runs import PayoutRunInput, RunReview
from recompense.contracts.sagas import SAGA_TASK_QUEUE
from recompense.desk.runs import RunDesk
from recompense.domain.failures import Refused
from recompense.schedules import RunTimes, ensure_schedules
from tests.support.books import assert_books_agree
from tests.support.payout_runs import merchant_with
from tests.support.platform import Platform
from tests.support.scenes import eventually
from workflows.payout_run import PayoutRun

DAY = date(2026, 11, 27)
CLOSED = (EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,)


async def started(platform: Platform, **changes: Any) -> tuple[PayoutRunInput, Any]:
    """A run that waits for its approval, and its workflow."""
    values = {"business_date": DAY, "requested_by": "maker", **changes}
    run = PayoutRunInput(**values)
    handle: WorkflowHandle[Any, Any] = await platform.client.start_workflow(
        PayoutRun.run, run, id=run.workflow_id, task_queue=SAGA_TASK_QUEUE
    )
    await handle.execute_update("decision", id="decision")
    return run, handle


async def approve(handle: Any) -> None:
    await handle.execute_update("review", RunReview(decision="approve", actor="checker"))


async def merchants(platform: Platform, name: str, count: int, **terms: Any) -> list[str]:
    return [
        await merchant_with(platform.database, {"EUR": 1_000 + n}, schedule=name, **terms)
        for n in range(count)
    ]


async def paid(platform: Platform, run_id: str, count: int) -> Any:
    """The run once so many of its items are paid, whatever its own status."""
    desk = RunDesk(platform.database, platform.client)

    async def shows() -> Any:
        run, _ = await desk.show(run_id)
        return run if run.paid_count == count else None

    return await eventually(shows)


async def effects_per_merchant(platform: Platform) -> list[int]:
    """How often the provider paid each payout that is there."""
    made = [effect["reference"] for effect in platform.sandbox.effects()]
    rows = await platform.rows("SELECT id FROM payouts WHERE status = 'paid'")
    return [made.count(row["id"]) for row in rows]


async def test_a_run_goes_on_page_by_page_and_pays_each_item_once(platform: Platform) -> None:
    await merchants(platform, "paged", 8)
    run, handle = await started(platform, name="paged", page_size=3, at_once=2)
    await approve(handle)
    result = await handle.result()
    run_id = result.run_id
    assert result.ended == "completed"
    final = await paid(platform, run_id, 8)
    assert (final.status, final.amount_paid, final.amount_total) == (
        "completed",
        {"EUR": 8_028},
        {"EUR": 8_028},
    )
    assert await effects_per_merchant(platform) == [1] * 8
    same_id = f"WorkflowId = '{run.workflow_id}'"

    async def went_on_as_new() -> bool:
        return len([one async for one in platform.client.list_workflows(same_id)]) > 1

    await eventually(went_on_as_new)
    await assert_books_agree(platform)


async def test_failed_items_are_resumed_alone(platform: Platform) -> None:
    await merchants(platform, "mixed", 2)
    await merchants(platform, "mixed", 1, token="tok_closed_account")
    _, handle = await started(platform, name="mixed")
    await approve(handle)
    result = await handle.result()
    run_id = result.run_id
    assert result.ended == "completed with failures"
    before = await paid(platform, run_id, 2)
    assert (before.failed_count, before.items_count) == (1, 3)
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_set(payout, '{destination,token}', '\"tok_ok\"')"
        " WHERE payout -> 'destination' ->> 'token' = 'tok_closed_account'"
    )
    desk = RunDesk(platform.database, platform.client)
    resumed = await desk.resume(run_id, actor="maker", reason="the account is open")
    assert resumed.status == "running"
    final = await paid(platform, run_id, 3)
    assert (final.failed_count, final.amount_paid) == (0, {"EUR": 3_001})
    assert await effects_per_merchant(platform) == [1] * 3
    with pytest.raises(Refused, match="No item"):
        await eventually_refused(desk, run_id)
    await assert_books_agree(platform)


async def eventually_refused(desk: RunDesk, run_id: str) -> None:
    """Resume once the run has ended."""

    async def ended() -> bool:
        run, _ = await desk.show(run_id)
        return run.status == "completed"

    await eventually(ended)
    await desk.resume(run_id, actor="maker", reason="more")


async def test_a_payout_that_was_taken_back_is_carried_on_under_its_own_id(
    platform: Platform,
) -> None:
    await merchants(platform, "away", 1)
    platform.sandbox.arm("payout", "unavailable", times=-1)
    _, handle = await started(platform, name="away")
    await approve(handle)
    result = await handle.result()
    run_id = result.run_id
    assert result.ended == "completed with failures"
    platform.sandbox.clear_faults()
    desk = RunDesk(platform.database, platform.client)
    _, [before] = await desk.show(run_id)
    await desk.resume(run_id, actor="maker", reason="the provider is back")
    await paid(platform, run_id, 1)
    _, [after] = await desk.show(run_id)
    assert after.payout_id == before.payout_id
    assert len(platform.sandbox.effects()) == 1
    await assert_books_agree(platform)


async def test_a_reset_at_any_event_pays_nothing_twice(platform: Platform) -> None:
    await merchants(platform, "again", 3)
    _, handle = await started(platform, name="again")
    await approve(handle)
    run_id = (await handle.result()).run_id
    await paid(platform, run_id, 3)
    history = await platform.client.get_workflow_handle(handle.id).fetch_history()
    places = [event.event_id for event in history.events if event.event_type in CLOSED]
    for place in (places[0], places[len(places) // 2], places[-1]):
        await platform.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace="default",
                workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=history.run_id),
                reason="a test",
                workflow_task_finish_event_id=place,
                request_id=uuid4().hex,
            )
        )
        again = await platform.client.get_workflow_handle(handle.id).result()
        assert again["ended"] == "completed"
    assert await effects_per_merchant(platform) == [1] * 3
    await assert_books_agree(platform)


async def test_a_schedule_fires_by_itself_once_for_each_date(platform: Platform) -> None:
    await merchants(platform, "ticking", 2)
    times = RunTimes(("ticking",), every_seconds=1)
    await ensure_schedules(platform.client, 60, times)
    schedule = platform.client.get_schedule_handle("payout-run-ticking")

    async def fired() -> bool:
        return (await schedule.describe()).info.num_actions >= 2

    await eventually(fired)
    await schedule.pause(note="that will do")
    runs = await eventually(lambda: rows_of(platform, "ticking", "awaiting_approval"))
    assert len(runs) <= 2  # midnight may pass
    assert {row["created_by"] for row in runs} == {"schedule:ticking"}
    desk = RunDesk(platform.database, platform.client)
    word = RunReview(decision="approve", actor="anybody")
    assert (await desk.review(runs[0]["id"], word)).status == "running"
    await paid(platform, runs[0]["id"], 2)
    assert await effects_per_merchant(platform) == [1] * 2


async def rows_of(platform: Platform, name: str, status: str) -> list[Any]:
    return await platform.rows(
        "SELECT * FROM payout_runs WHERE name = :name AND status = :status ORDER BY business_date",
        name=name,
        status=status,
    )


async def test_a_backfill_makes_up_for_dates_and_pays_each_merchant_once(
    platform: Platform,
) -> None:
    await merchants(platform, "missed", 2)
    times = RunTimes(("missed",), time_of_day="06:30", time_zone="Europe/Berlin")
    await ensure_schedules(platform.client, 60, times)
    schedule = platform.client.get_schedule_handle("payout-run-missed")
    for _ in range(2):
        await schedule.backfill(
            ScheduleBackfill(
                start_at=datetime(2026, 11, 23, tzinfo=UTC),
                end_at=datetime(2026, 11, 26, tzinfo=UTC),
                overlap=ScheduleOverlapPolicy.BUFFER_ALL,
            )
        )
    [first] = await eventually(lambda: rows_of(platform, "missed", "awaiting_approval"))

    async def all_made() -> bool:
        empty = await rows_of(platform, "missed", "completed")
        return len(empty) == 2

    await eventually(all_made)
    made = await platform.rows("SELECT business_date, fired_at, items_count FROM payout_runs")
    assert sorted(row["business_date"] for row in made) == [
        date(2026, 11, day) for day in (23, 24, 25)
    ]
    assert sorted(row["items_count"] for row in made) == [0, 0, 2]
    assert {row["fired_at"].astimezone(UTC).strftime("%H:%M") for row in made} == {"05:30"}
    desk = RunDesk(platform.database, platform.client)
    await desk.review(first["id"], RunReview(decision="approve", actor="checker"))
    await paid(platform, first["id"], 2)
    assert await effects_per_merchant(platform) == [1] * 2


async def test_a_schedule_follows_the_settings_and_stays_paused(platform: Platform) -> None:
    name = f"moved-{uuid4().hex[:6]}"
    await ensure_schedules(platform.client, 60, RunTimes((name,), "06:00", "UTC"))
    schedule = platform.client.get_schedule_handle(f"payout-run-{name}")
    await schedule.pause(note="holiday")
    await ensure_schedules(platform.client, 60, RunTimes((name,), "07:30", "Europe/Berlin"))
    found = (await schedule.describe()).schedule
    [calendar] = found.spec.calendars
    assert (calendar.hour[0].start, calendar.minute[0].start) == (7, 30)
    assert found.spec.time_zone_name == "Europe/Berlin"
    assert (found.state.paused, found.state.note) == (True, "holiday")
    assert found.policy.overlap is ScheduleOverlapPolicy.BUFFER_ALL
    assert found.policy.catchup_window == timedelta(days=10)
    updated = (await schedule.describe()).info.last_updated_at
    await ensure_schedules(platform.client, 60, RunTimes((name,), "07:30", "Europe/Berlin"))
    assert (await schedule.describe()).info.last_updated_at == updated

    async def removed() -> bool:
        # The list of schedules, by which the superfluous ones are found, may be a moment late.
        await ensure_schedules(platform.client, 60, RunTimes())
        try:
            await schedule.describe()
        except RPCError as error:
            return error.status is RPCStatusCode.NOT_FOUND
        return False

    await eventually(removed)


async def test_a_canceled_run_is_carried_on(platform: Platform) -> None:
    await merchants(platform, "stopped", 2)
    _, handle = await started(platform, name="stopped")
    await handle.cancel()

    async def over() -> bool:
        return (await handle.describe()).close_time is not None

    await eventually(over)
    desk = RunDesk(platform.database, platform.client)
    [row] = await rows_of(platform, "stopped", "awaiting_approval")
    word = RunReview(decision="approve", actor="checker")
    with pytest.raises(Refused):
        await desk.review(row["id"], word)
    told = await desk.workflow_of(row["id"], "http://127.0.0.1:8233")
    assert (told.workflow_id, told.status, told.abandoned) == (handle.id, "canceled", True)
    await desk.resume(row["id"], actor="maker", reason="canceled by mistake")
    told = await desk.workflow_of(row["id"], "http://127.0.0.1:8233")
    assert (told.status, told.abandoned) == ("running", False)
    assert (await desk.review(row["id"], word)).status == "running"
    await paid(platform, row["id"], 2)
    assert await effects_per_merchant(platform) == [1] * 2
