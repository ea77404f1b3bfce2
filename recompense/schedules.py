"""The schedules of the platform: what runs by the clock, made once and kept as the settings say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError

from recompense.contracts.payout_runs import PayoutRunTriggerInput
from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import SAGA_TASK_QUEUE, SweepInput
from recompense.contracts.starting import TASK_TIMEOUT

_CATCH_UP_WINDOW = timedelta(minutes=1)
"""A sweep that was missed is not made up for: the next one does its work. Temporal's default is a
year.
"""

_RUN_CATCH_UP_WINDOW = timedelta(days=10)
"""A payout run that was missed is made up for: its business date is fixed, so none is paid twice.
Longer outages are a person's word: `recompense schedules backfill`.
"""


RUN_SCHEDULE_PREFIX = "payout-run-"
RELAY_SECONDS = 15.0
"""How soon an event that was stored and not applied is taken up again."""


_SKIPPED_WHEN_LATE = SchedulePolicy(
    overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP_WINDOW
)
_MADE_UP_FOR = SchedulePolicy(
    overlap=ScheduleOverlapPolicy.BUFFER_ALL, catchup_window=_RUN_CATCH_UP_WINDOW
)


def _every(seconds: float) -> ScheduleSpec:
    return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=seconds))])


@dataclass(frozen=True)
class PlannedSchedule:
    """One schedule as it should be. `made_up_for`: what was missed is run late, and not skipped."""

    schedule_id: str
    workflow: str
    arguments: Sequence[Frozen]
    spec: ScheduleSpec
    note: str
    made_up_for: bool = False

    def schedule(self) -> Schedule:
        """The schedule in Temporal's words."""
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.workflow,
                args=list(self.arguments),
                id=self.schedule_id,
                task_queue=SAGA_TASK_QUEUE,
                task_timeout=TASK_TIMEOUT,
                static_summary=self.note,
            ),
            spec=self.spec,
            policy=_MADE_UP_FOR if self.made_up_for else _SKIPPED_WHEN_LATE,
        )


@dataclass(frozen=True)
class RunTimes:
    """When the payout runs of these names are made: each day at a time of day in a time zone, or,
    where `every_seconds` is given, as often as that.
    """

    names: Sequence[str] = ()
    time_of_day: str = "06:00"
    time_zone: str = "UTC"
    every_seconds: float | None = None

    def spec(self) -> ScheduleSpec:
        """The times in Temporal's words. Every day: the run itself knows business days."""
        if self.every_seconds is not None:
            return _every(self.every_seconds)
        hour, minute = map(int, self.time_of_day.split(":"))
        daily = ScheduleCalendarSpec(hour=[ScheduleRange(hour)], minute=[ScheduleRange(minute)])
        return ScheduleSpec(calendars=[daily], time_zone_name=self.time_zone)


NO_RUNS = RunTimes()


def planned_schedules(sweep_seconds: float, runs: RunTimes) -> tuple[PlannedSchedule, ...]:
    """All schedules; `sweep_seconds` is how often the sweeps run."""
    return (
        *(_planned_run(name, runs) for name in runs.names),
        PlannedSchedule(
            "sweep-authorizations",
            "SweepAuthorizations",
            (SweepInput(),),
            _every(sweep_seconds),
            "Void authorizations whose time has run out",
        ),
        PlannedSchedule(
            "release-availability",
            "ReleaseAvailability",
            (SweepInput(),),
            _every(sweep_seconds),
            "Make captured money available that has become due",
        ),
        PlannedSchedule(
            "relay-provider-events",
            "RelayProviderEvents",
            (),
            _every(RELAY_SECONDS),
            "Apply provider events that were stored and not applied yet",
        ),
    )


def _planned_run(name: str, runs: RunTimes) -> PlannedSchedule:
    return PlannedSchedule(
        f"{RUN_SCHEDULE_PREFIX}{name}",
        "PayoutRunTrigger",
        (PayoutRunTriggerInput(name=name),),
        runs.spec(),
        f"Make the payout run {name} of the day",
        made_up_for=True,
    )


async def ensure_schedules(client: Client, sweep_seconds: float, runs: RunTimes = NO_RUNS) -> None:
    """Make the schedules that are missing and bring the others up to date; safe to run at any time,
    by several processes at once. A schedule that somebody has paused stays paused.

    Raises `RPCError` when Temporal does not answer.
    """
    planned_ones = planned_schedules(sweep_seconds, runs)
    await _remove_run_schedules(client, but={planned.schedule_id for planned in planned_ones})
    for planned in planned_ones:
        try:
            await client.create_schedule(planned.schedule_id, planned.schedule())
        except ScheduleAlreadyRunningError:
            await _bring_up_to_date(client, planned)


async def _remove_run_schedules(client: Client, *, but: Collection[str]) -> None:
    """A run that the settings do not name any more is not made any more."""
    async for listed in await client.list_schedules():
        if listed.id.startswith(RUN_SCHEDULE_PREFIX) and listed.id not in but:
            with suppress(RPCError):
                await client.get_schedule_handle(listed.id).delete()


async def _bring_up_to_date(client: Client, planned: PlannedSchedule) -> None:
    handle = client.get_schedule_handle(planned.schedule_id)
    found = (await handle.describe()).schedule
    wanted = planned.schedule()
    # An update restarts the interval's clock: without a difference there is none.
    if _told(found) == _told(wanted):
        return

    def changed(present: ScheduleUpdateInput) -> ScheduleUpdate:
        wanted.state = present.description.schedule.state
        return ScheduleUpdate(schedule=wanted)

    await handle.update(changed)


def _told(schedule: Schedule) -> tuple[object, ...]:
    """What of a schedule is ours to say, as Temporal tells it back."""
    spec = schedule.spec
    calendars = [
        (one.hour[0].start, one.minute[0].start)
        for one in spec.calendars
        if one.hour and one.minute
    ]
    zone = spec.time_zone_name if spec.calendars else None
    return spec.intervals, calendars, zone, schedule.policy
