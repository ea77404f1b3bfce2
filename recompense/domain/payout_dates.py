"""When a merchant's payout is due: the terms, the calendar and a run's moment in one answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from recompense.domain.calendar import (
    EVERY_DAY,
    WEEKDAYS,
    BusinessCalendar,
    Rhythm,
    calendar_of,
    date_in,
    last_cut_off,
    moment_of,
)
from recompense.domain.terms import PayoutTerms


@dataclass(frozen=True)
class Clock:
    """The platform's own calendar and time zone, which hold where a merchant has none."""

    calendar: BusinessCalendar
    time_zone: str

    def of_country(self, country: str) -> BusinessCalendar:
        """A country's calendar. A platform that works every day does so for everybody."""
        if self.calendar.code == EVERY_DAY:
            return self.calendar
        return calendar_of(country, self.calendar.code)

    def business_date(self, fired_at: datetime) -> date:
        """The date of a run that a schedule fired at this moment."""
        return date_in(fired_at, self.time_zone)

    def window(self, fired_at: datetime) -> DueWindow:
        """What a run that fired at this moment is to catch: all since the run of the business day
        before, had it fired at the same time of day. So windows follow each other without a gap.
        """
        today = self.business_date(fired_at)
        before = self.calendar.last_before(today)
        time_of_day = fired_at.astimezone(ZoneInfo(self.time_zone)).strftime("%H:%M")
        fired_before = moment_of(before, time_of_day, self.time_zone)
        return DueWindow(before, today, fired_before, fired_at, self.time_zone)


@dataclass(frozen=True)
class DueWindow:
    """A time from one run (excluded) to the next (included), as dates and as moments."""

    after_date: date
    until_date: date
    after: datetime
    until: datetime
    time_zone: str

    def dates(self, terms: PayoutTerms) -> tuple[date, date]:
        """The dates that end in this window for a merchant: those whose cut-off was reached in it.

        A merchant without a cut-off goes by the runs' own dates.
        """
        if terms.cut_off is None:
            return self.after_date, self.until_date
        zone = terms.time_zone or self.time_zone
        return (
            last_cut_off(self.after, terms.cut_off, zone),
            last_cut_off(self.until, terms.cut_off, zone),
        )


def rhythm_of(terms: PayoutTerms) -> Rhythm:
    """A merchant's rhythm: what the terms state, else what the run's name says; weekly is Monday
    and monthly the last day where nothing is stated.
    """
    weekly = terms.weekday is not None or terms.schedule == "weekly"
    monthly = terms.day_of_month is not None or terms.schedule == "monthly"
    every: Literal["day", "week", "month"] = "week" if weekly else "month" if monthly else "day"
    return Rhythm(every, WEEKDAYS.index(terms.weekday or "monday"), terms.day_of_month or "last")


def is_due_in(terms: PayoutTerms, calendar: BusinessCalendar, window: DueWindow) -> bool:
    """Whether a scheduled run takes this merchant."""
    after, until = window.dates(terms)
    return rhythm_of(terms).is_due_between(after, until, calendar)


def is_due_by_hand(terms: PayoutTerms, calendar: BusinessCalendar, day: date) -> bool:
    """Whether a run that a person asks for takes this merchant.

    The person chose the date, so only a day that the terms state counts: the day itself, or the
    business day that it moves to. No cut-off is waited for.
    """
    if terms.weekday is None and terms.day_of_month is None:
        return True
    rhythm = rhythm_of(terms)
    return rhythm.nominal(day) == day or rhythm.is_due(day, calendar)
