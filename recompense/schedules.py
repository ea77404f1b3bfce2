"""The schedules of the platform: what runs by the clock, made once and kept as the settings say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

from recompense.contracts.bank_rail import PayoutWindow, ReadFiles
from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import SAGA_TASK_QUEUE, SweepInput
from recompense.contracts.starting import TASK_TIMEOUT

_CATCH_UP_WINDOW = timedelta(minutes=1)
"""A sweep that was missed is not made up for: the next one does its work. Temporal's default is a
year.
"""


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
                intervals=[ScheduleIntervalSpec(every=timedelta(seconds=self.every_seconds))]
            ),
            policy=SchedulePolicy(
                overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP_WINDOW
            ),
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
                window_seconds,
                f"Send the payouts that wait for {name} in one file",
            ),
            PlannedSchedule(
                f"bank-files/{name}",
                "ReadBankFiles",
                (ReadFiles(provider=name),),
                files_seconds,
                f"Read the files that {name} has left",
            ),
        )
    )


async def ensure_schedules(
    client: Client, sweep_seconds: float, more: Sequence[PlannedSchedule] = ()
) -> None:
    """Make the schedules that are missing and bring the others up to date; safe to run at any time,
    by several processes at once. A schedule that somebody has paused stays paused.

    Raises `RPCError` when Temporal does not answer.
    """
    for planned in (*planned_schedules(sweep_seconds), *more):
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
