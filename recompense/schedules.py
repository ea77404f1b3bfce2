"""The schedules of the platform: what runs by the clock, made once and kept as the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from recompense.contracts.provider import Frozen
from recompense.contracts.reconciliation import CHECK_BALANCES, RECONCILE_DAILY, ReconcileDaily
from recompense.contracts.sagas import SAGA_TASK_QUEUE, SweepInput
from recompense.contracts.starting import TASK_TIMEOUT

_CATCH_UP_WINDOW = timedelta(minutes=1)
"""A sweep that was missed is not made up for: the next one does its work. Temporal's default is a
year.
"""


_A_DAY_MISSED = timedelta(hours=23)
"""A reconciliation that was missed is made up for: its date is the one it was scheduled for."""

CHECK_SECONDS = 3_600.0
"""How often the balances with providers are checked against the journal."""

RELAY_SECONDS = 15.0
"""How soon an event that was stored and not applied is taken up again."""


@dataclass(frozen=True)
class PlannedSchedule:
    """One schedule as it should be."""

    schedule_id: str
    workflow: str
    arguments: Sequence[Frozen]
    every_seconds: float
    note: str
    offset_seconds: float = 0
    catch_up: timedelta = _CATCH_UP_WINDOW

    def schedule(self) -> Schedule:
        """The schedule in Temporal's words. A run that is late is skipped, never doubled."""
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.workflow,
                args=list(self.arguments),
                id=self.schedule_id,
                task_queue=SAGA_TASK_QUEUE,
                task_timeout=TASK_TIMEOUT,
                static_summary=self.note,
            ),
            spec=ScheduleSpec(
                intervals=[
                    ScheduleIntervalSpec(
                        every=timedelta(seconds=self.every_seconds),
                        offset=timedelta(seconds=self.offset_seconds),
                    )
                ]
            ),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=self.catch_up),
        )


def planned_schedules(sweep_seconds: float) -> tuple[PlannedSchedule, ...]:
    """All schedules; `sweep_seconds` is how often the sweeps run."""
    return (
        PlannedSchedule(
            "sweep-authorizations",
            "SweepAuthorizations",
            (SweepInput(),),
            sweep_seconds,
            "Void authorizations whose time has run out",
        ),
        PlannedSchedule(
            "release-availability",
            "ReleaseAvailability",
            (SweepInput(),),
            sweep_seconds,
            "Make captured money available that has become due",
        ),
        PlannedSchedule(
            "relay-provider-events",
            "RelayProviderEvents",
            (),
            RELAY_SECONDS,
            "Apply provider events that were stored and not applied yet",
        ),
    )


def reconciliation_schedules(
    providers: Sequence[str], reconcile_at: str
) -> tuple[PlannedSchedule, ...]:
    """One reconciliation a day for each provider, at `HH:MM` in UTC, and the hourly check."""
    hours, minutes = reconcile_at.split(":")
    daily = (
        PlannedSchedule(
            f"reconcile-{provider}",
            RECONCILE_DAILY,
            (ReconcileDaily(provider=provider),),
            timedelta(days=1).total_seconds(),
            f"Reconcile the report that {provider} made of the day before",
            offset_seconds=int(hours) * 3_600 + int(minutes) * 60,
            catch_up=_A_DAY_MISSED,
        )
        for provider in providers
    )
    check = PlannedSchedule(
        "check-balances",
        CHECK_BALANCES,
        (),
        CHECK_SECONDS,
        "Check what providers owe us against the journal, and ask again for what stays unknown",
    )
    return (*daily, check)


async def ensure_schedules(
    client: Client, sweep_seconds: float, reconciled: Sequence[PlannedSchedule] = ()
) -> None:
    """Make the schedules that are missing and bring the others up to date; safe to run at any time,
    by several processes at once. A schedule that somebody has paused stays paused.

    Raises `RPCError` when Temporal does not answer.
    """
    for planned in (*planned_schedules(sweep_seconds), *reconciled):
        try:
            await client.create_schedule(planned.schedule_id, planned.schedule())
        except ScheduleAlreadyRunningError:
            await _bring_up_to_date(client, planned)


async def _bring_up_to_date(client: Client, planned: PlannedSchedule) -> None:
    handle = client.get_schedule_handle(planned.schedule_id)
    found = (await handle.describe()).schedule
    wanted = planned.schedule()
    # An update restarts the interval's clock: without a difference there is none.
    if (found.spec.intervals, found.policy) == (wanted.spec.intervals, wanted.policy):
        return

    def changed(present: ScheduleUpdateInput) -> ScheduleUpdate:
        wanted.state = present.description.schedule.state
        return ScheduleUpdate(schedule=wanted)

    await handle.update(changed)
