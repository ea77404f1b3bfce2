"""What the settings say about payout runs, for the worker and for whoever makes schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.toolbox import PayoutRunTools
from recompense.domain.calendar import BusinessCalendar
from recompense.domain.payout_dates import Clock
from recompense.persistence.database import Database
from recompense.schedules import RunTimes

if TYPE_CHECKING:
    from recompense.settings import Settings


def payout_run_tools(settings: Settings, database: Database) -> PayoutRunTools:
    """What the activities of payout runs work with."""
    return PayoutRunTools(
        database,
        Clock(BusinessCalendar(settings.payout_run_calendar), settings.payout_run_time_zone),
        approval=settings.payout_run_approval == "always",
    )


def run_times(settings: Settings) -> RunTimes:
    """When schedules make payout runs."""
    return RunTimes(
        names=settings.payout_run_schedules,
        time_of_day=settings.payout_run_time,
        time_zone=settings.payout_run_time_zone,
        every_seconds=settings.payout_run_interval_seconds,
    )
