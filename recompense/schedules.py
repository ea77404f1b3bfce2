"""The schedules of the platform: what runs by the clock, made once and kept as the settings say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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

from recompense.contracts.bank_rail import PayoutWindow, ReadFiles
from recompense.contracts.payout_runs import PayoutRunTriggerInput
from recompense.contracts.provider import Frozen
from recompense.contracts.reconciliation import (
    CHECK_BALANCES,
    RECONCILE_DAILY,
    RELAY_RECONCILIATIONS,
    ReconcileDaily,
)
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
"""What the ids of the payout runs' schedules begin with; the run's name follows."""

_A_DAY_MISSED = timedelta(hours=23)
"""A reconciliation that was missed is made up for: its date is the one it was scheduled for."""

CHECK_SECONDS = 3_600.0
"""How often the balances with providers are checked against the journal."""

_DAY_SECONDS = 86_400.0
RELAY_SECONDS = 15.0
"""How soon what was stored and not taken up, an event or a reconciliation, is taken up again."""


def _skipped_when_late() -> SchedulePolicy:
    return SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP_WINDOW)


_MADE_UP_FOR = SchedulePolicy(
    overlap=ScheduleOverlapPolicy.BUFFER_ALL, catchup_window=_RUN_CATCH_UP_WINDOW
)
_MADE_UP_FOR_WITHIN_A_DAY = SchedulePolicy(
    overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_A_DAY_MISSED
)


def every(seconds: float, *, offset_seconds: float = 0) -> ScheduleSpec:
    """A time each so many seconds, counted from midnight in UTC."""
    interval = ScheduleIntervalSpec(
        every=timedelta(seconds=seconds), offset=timedelta(seconds=offset_seconds)
    )
    return ScheduleSpec(intervals=[interval])


@dataclass(frozen=True)
class PlannedSchedule:
    """One schedule as it should be. The policy says whether what was missed is run late."""

    schedule_id: str
    workflow: str
    arguments: Sequence[Frozen]
    spec: ScheduleSpec
    note: str
    policy: SchedulePolicy = field(default_factory=_skipped_when_late)

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
            policy=self.policy,
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
            return every(self.every_seconds)
        hour, minute = map(int, self.time_of_day.split(":"))
        daily = ScheduleCalendarSpec(hour=[ScheduleRange(hour)], minute=[ScheduleRange(minute)])
        return ScheduleSpec(calendars=[daily], time_zone_name=self.time_zone)


NO_RUNS = RunTimes()


def planned_schedules(sweep_seconds: float, runs: RunTimes) -> tuple[PlannedSchedule, ...]:
    """All schedules; `sweep_seconds` is how often the sweeps run."""
    return (
        *(payout_run_schedule(name, runs) for name in runs.names),
        PlannedSchedule(
            "sweep-authorizations",
            "SweepAuthorizations",
            (SweepInput(),),
            every(sweep_seconds),
            "Void authorizations whose time has run out",
        ),
        PlannedSchedule(
            "release-availability",
            "ReleaseAvailability",
            (SweepInput(),),
            every(sweep_seconds),
            "Make captured money available that has become due",
        ),
        PlannedSchedule(
            "relay-provider-events",
            "RelayProviderEvents",
            (),
            every(RELAY_SECONDS),
            "Apply provider events that were stored and not applied yet",
        ),
    )


def payout_run_schedule(name: str, runs: RunTimes) -> PlannedSchedule:
    """The schedule that makes the payout run of this name."""
    return PlannedSchedule(
        f"{RUN_SCHEDULE_PREFIX}{name}",
        "PayoutRunTrigger",
        (PayoutRunTriggerInput(name=name),),
        runs.spec(),
        f"Make the payout run {name} of the day",
        policy=_MADE_UP_FOR,
    )


def reconciliation_schedules(
    providers: Sequence[str], reconcile_at: str
) -> tuple[PlannedSchedule, ...]:
    """One reconciliation a day for each provider, at `HH:MM` in UTC, the relay of those that were
    not started, and the hourly check.
    """
    hours, minutes = map(int, reconcile_at.split(":"))
    at = every(_DAY_SECONDS, offset_seconds=hours * 3_600 + minutes * 60)
    daily = (
        PlannedSchedule(
            f"reconcile-{provider}",
            RECONCILE_DAILY,
            (ReconcileDaily(provider=provider),),
            at,
            f"Reconcile the report that {provider} made of the day before",
            policy=_MADE_UP_FOR_WITHIN_A_DAY,
        )
        for provider in providers
    )
    relay = PlannedSchedule(
        "relay-reconciliations",
        RELAY_RECONCILIATIONS,
        (),
        every(RELAY_SECONDS),
        "Start reconciliations that were asked for and not started",
    )
    check = PlannedSchedule(
        "check-balances",
        CHECK_BALANCES,
        (),
        every(CHECK_SECONDS),
        "Check what providers owe us against the journal, and ask again for what stays unknown",
    )
    return (*daily, relay, check)


def bank_rail_schedules(
    providers: Iterable[str], window_seconds: float, files_seconds: float
) -> tuple[PlannedSchedule, ...]:
    """The schedules of each bank rail: how often its window closes, and its files are read."""
    return tuple(
        planned
        for name in sorted(providers)
        for planned in (
            PlannedSchedule(
                f"payout-batch/{name}",
                "SubmitPayoutBatch",
                (PayoutWindow(provider=name),),
                every(window_seconds),
                f"Send the payouts that wait for {name} in one file",
            ),
            PlannedSchedule(
                f"bank-files/{name}",
                "ReadBankFiles",
                (ReadFiles(provider=name),),
                every(files_seconds),
                f"Read the files that {name} has left",
            ),
        )
    )


async def ensure_schedules(
    client: Client,
    sweep_seconds: float,
    runs: RunTimes = NO_RUNS,
    others: Sequence[PlannedSchedule] = (),
) -> None:
    """Make the schedules that are missing and bring the others up to date; safe to run at any time,
    by several processes at once. A schedule that somebody has paused stays paused.

    Raises `RPCError` when Temporal does not answer.
    """
    planned_ones = (*planned_schedules(sweep_seconds, runs), *others)
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
