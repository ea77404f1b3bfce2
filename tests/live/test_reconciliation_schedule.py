"""Reconciliations by the clock: the daily one fires, overlaps, is paused and made up for; what was
asked for and not started is started.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from temporalio.client import Client, ScheduleBackfill, ScheduleHandle, ScheduleSpec
from temporalio.contrib.pydantic import pydantic_data_converter

from recompense.contracts.reconciliation import ReconcileDaily
from recompense.contracts.sagas import SAGA_TASK_QUEUE
from recompense.desk.reconciliations import begin, start
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import ledger
from recompense.schedules import (
    PlannedSchedule,
    ensure_schedules,
    every,
    reconciliation_schedules,
)
from tests.support.books import assert_books_agree
from tests.support.platform import Platform
from tests.support.scenes import captured, eventually
from tests.support.temporal import running_temporal
from workflows.reconcile import RelayReconciliations

_DAY = timedelta(days=1)
_OUTAGE_SECONDS = 20
"""Longer than the shortest catch-up window that Temporal knows, which is ten seconds."""


def planned(spec: ScheduleSpec, day: date | None = None) -> PlannedSchedule:
    """The sandbox's own daily schedule, at another time and under another name.

    `day`: the date that it is about, where that is not the day before. All tests of a session share
    one Temporal, and only one of them can have that.
    """
    daily, *_ = reconciliation_schedules(["sandbox"], "03:00")
    name = f"{daily.schedule_id}-{uuid4().hex[:6]}"
    about = (ReconcileDaily(provider="sandbox", report_date=day),)
    return replace(daily, schedule_id=name, arguments=about, spec=spec)


@pytest.fixture
def day() -> date:
    """A date of this test's own."""
    return date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)


@asynccontextmanager
async def scheduled(platform: Platform, wanted: PlannedSchedule) -> AsyncIterator[ScheduleHandle]:
    """A schedule that is gone afterwards, with all that it began ended."""
    schedule = await platform.client.create_schedule(wanted.schedule_id, wanted.schedule())
    try:
        yield schedule
    finally:
        await schedule.delete()
        await eventually(lambda: none_is(platform, "running"))


async def none_is(platform: Platform, status: str) -> bool:
    return status not in [row["status"] for row in await reconciliations(platform)]


async def reconciliations(platform: Platform) -> list[Any]:
    return await platform.rows("SELECT * FROM reconciliations ORDER BY id")


async def several(platform: Platform, status: str) -> bool:
    return [row["status"] for row in await reconciliations(platform)].count(status) >= 2


def settle(platform: Platform, day: date) -> None:
    body = {"date": day.isoformat()}
    platform.sandbox.http.post("/_control/settle", json=body).raise_for_status()


async def assert_settled_once(platform: Platform) -> None:
    """One payment of 100.00, whatever number of reconciliations have seen it."""
    assert len(await platform.rows("SELECT * FROM settlement_matches")) == 2
    async with platform.database.transaction() as session:
        (cash,) = await ledger.balances(session, "bank:main:cash")
    assert cash.balance == 9_900
    await assert_books_agree(platform)


async def test_schedule_that_fires_again_and_again_settles_the_day_before_once(
    platform: Platform,
) -> None:
    await captured(platform)
    yesterday = (datetime.now(UTC) - _DAY).date()
    # Midnight may pass.
    for day in (yesterday, yesterday + _DAY):
        settle(platform, day)
    async with scheduled(platform, planned(every(1))):
        await eventually(lambda: several(platform, "clean"))
    made = await reconciliations(platform)
    assert {row["report_date"] for row in made} <= {yesterday, yesterday + _DAY}
    assert all(row["requested_by"].startswith("recompense:schedule") for row in made)
    await assert_settled_once(platform)


async def test_schedule_that_fires_while_a_report_is_awaited_and_is_paused_settles_it_once(
    platform: Platform, day: date
) -> None:
    await captured(platform)
    wanted = planned(every(1), day)
    async with scheduled(platform, wanted) as schedule:
        await eventually(lambda: several(platform, "running"))
        await schedule.pause(note="the file of the provider is late")
        await ensure_schedules(platform.client, 3_600, others=[wanted])
        state = (await schedule.describe()).schedule.state
        assert (state.paused, state.note) == (True, "the file of the provider is late")
        settle(platform, day)
        await eventually(lambda: none_is(platform, "running"))
    assert await none_is(platform, "failed")
    await assert_settled_once(platform)


async def test_start_that_is_made_up_for_is_about_its_own_date(platform: Platform) -> None:
    for number in (23, 24):
        settle(platform, date(2026, 11, number))
    at_three = every(86_400, offset_seconds=3 * 3_600)
    async with scheduled(platform, planned(at_three)) as schedule:
        await schedule.backfill(
            ScheduleBackfill(
                start_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
                end_at=datetime(2026, 11, 25, 12, tzinfo=UTC),
            )
        )

        async def made() -> list[Any]:
            rows = await reconciliations(platform)
            return [row for row in rows if row["status"] == "clean"]

        [row] = await eventually(made)
    assert row["report_date"] == date(2026, 11, 24)


async def test_reconciliation_that_was_never_started_is_started_once(
    platform: Platform, day: date
) -> None:
    await captured(platform)
    settle(platform, day)
    await begin(platform.database, new_id(IdPrefix.RECONCILIATION), **asked(day))
    assert await relayed(platform) == 0, "who made it a moment ago starts it"
    await platform.rows_changed(
        "UPDATE reconciliations SET created_at = created_at - interval '1 minute'"
    )
    assert await relayed(platform) == 1
    await eventually(lambda: none_is(platform, "running"))
    assert await relayed(platform) == 0
    assert await none_is(platform, "failed")
    await assert_settled_once(platform)


async def test_reconciliation_that_runs_is_not_started_again(platform: Platform, day: date) -> None:
    given = await begin(platform.database, new_id(IdPrefix.RECONCILIATION), **asked(day))
    await start(platform.client, given)
    await platform.rows_changed(
        "UPDATE reconciliations SET created_at = created_at - interval '1 minute'"
    )
    assert not await none_is(platform, "running"), "it waits for its report"
    assert await relayed(platform) == 0
    settle(platform, day)
    await eventually(lambda: none_is(platform, "running"))


async def test_reconciliation_that_was_terminated_is_carried_on(
    platform: Platform, day: date
) -> None:
    await captured(platform)
    given = await begin(platform.database, new_id(IdPrefix.RECONCILIATION), **asked(day))
    await start(platform.client, given)
    await platform.client.get_workflow_handle(given.workflow_id).terminate()
    await platform.rows_changed(
        "UPDATE reconciliations SET created_at = created_at - interval '1 minute'"
    )
    assert await relayed(platform) == 1
    settle(platform, day)
    await eventually(lambda: none_is(platform, "running"))
    assert await none_is(platform, "failed")
    await assert_settled_once(platform)


def asked(day: date) -> dict[str, Any]:
    return {"provider": "sandbox", "report_date": day, "requested_by": "finance"}


async def relayed(platform: Platform) -> int:
    """How many reconciliations the relay starts now."""
    started: int = await platform.client.execute_workflow(
        RelayReconciliations.run, id=f"relay/{uuid4().hex}", task_queue=SAGA_TASK_QUEUE
    )
    return started


async def test_start_that_an_outage_of_temporal_swallowed_is_made_up_for(tmp_path: Path) -> None:
    with running_temporal(tmp_path) as address:
        client = await Client.connect(address, data_converter=pydantic_data_converter)
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
        since_midnight = due - due.replace(hour=0, minute=0, second=0)
        wanted = planned(every(86_400, offset_seconds=since_midnight.seconds))
        schedule = await client.create_schedule(wanted.schedule_id, wanted.schedule())

        async def waits() -> list[datetime]:
            return list((await schedule.describe()).info.next_action_times[:1])

        assert await eventually(waits) == [due]
        server = _listening_at(address)
        server.send_signal(signal.SIGSTOP)
        try:
            assert datetime.now(UTC) < due, "it was stopped too late: the case proves nothing"
            await asyncio.sleep(_OUTAGE_SECONDS)
        finally:
            server.send_signal(signal.SIGCONT)

        async def started() -> list[datetime]:
            info = (await schedule.describe()).info
            return [action.scheduled_at for action in info.recent_actions]

        assert await eventually(started) == [due]
        assert (await schedule.describe()).info.num_actions_missed_catchup_window == 0


def _listening_at(address: str) -> psutil.Process:
    port = address.rpartition(":")[2]
    [server] = [one for one in psutil.Process().children() if port in one.cmdline()]
    return server
