"""Which days are business days, when a time of day is reached, and which days a rhythm falls on.

Pure: it reads no clock. Holidays are those of the `holidays` library: a country (ISO 3166-1
alpha-2) or a financial calendar (`ECB` is the TARGET calendar of the euro's payment systems).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from holidays import HolidayBase

DEFAULT_CALENDAR = "ECB"
EVERY_DAY = "every-day"
"""A calendar without a weekend and without holidays, for what works around the clock."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""In the order of `date.weekday()`."""

_DAY = timedelta(days=1)
_LONGEST_CLOSURE_DAYS = 60
"""More days without a business day than any calendar has: what is longer is a broken calendar."""


@dataclass(frozen=True)
class BusinessCalendar:
    """The business days of one country or one market: no weekend of its own, no public holiday.

    Days outside the years that the library knows have weekends only.
    """

    code: str

    def is_business_day(self, day: date) -> bool:
        """Whether banks of this calendar work on this day."""
        return self.code == EVERY_DAY or _days_off(self.code).is_working_day(day)

    def on_or_after(self, day: date) -> date:
        """This day when it is a business day, else the next one ("following")."""
        return self._nearest(day, _DAY)

    def on_or_before(self, day: date) -> date:
        """This day when it is a business day, else the one before ("preceding")."""
        return self._nearest(day, -_DAY)

    def next_after(self, day: date) -> date:
        """The first business day after this day."""
        return self.on_or_after(day + _DAY)

    def last_before(self, day: date) -> date:
        """The last business day before this day."""
        return self.on_or_before(day - _DAY)

    def within_month(self, day: date) -> date:
        """The nearest business day that stays in this day's month: the next one, or, where that
        is in the next month, the one before ("modified following", ISDA 2006, section 4.12).
        """
        following = self.on_or_after(day)
        return following if following.month == day.month else self.on_or_before(day)

    def plus(self, day: date, business_days: int) -> date:
        """T+n: the n-th business day after this day. Zero is the day itself, or the next business
        day where it is none.

        Raises `ValueError` for a negative number.
        """
        if business_days < 0:
            raise ValueError("business days are counted forward")
        if business_days == 0:
            return self.on_or_after(day)
        for _ in range(business_days):
            day = self.next_after(day)
        return day

    def _nearest(self, day: date, step: timedelta) -> date:
        for _ in range(_LONGEST_CLOSURE_DAYS):
            if self.is_business_day(day):
                return day
            day += step
        raise ValueError(f"the calendar {self.code} has no business day near {day}")


def is_calendar(code: str) -> bool:
    """Whether there is a calendar of this country or market."""
    return code == EVERY_DAY or code in _known_calendars()


def calendar_of(country: str, default: str = DEFAULT_CALENDAR) -> BusinessCalendar:
    """The calendar of a country; `default` where the library knows no holidays of it."""
    return BusinessCalendar(country if is_calendar(country) else default)


def is_time_zone(name: str) -> bool:
    """Whether this is the name of a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def moment_of(day: date, time_of_day: str, time_zone: str) -> datetime:
    """When `HH:MM` is reached on this day in this time zone, in UTC.

    Of a time that the clock shows twice the first one; a time that the clock skips is read by the
    offset before the gap, and so is reached after it (RFC 5545, section 3.3.5).

    Raises `ValueError` for what is no time of day.
    """
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", time_of_day) is None:
        raise ValueError(f"{time_of_day!r} is not HH:MM")
    wall = datetime.combine(day, time.fromisoformat(time_of_day), tzinfo=ZoneInfo(time_zone))
    return wall.astimezone(UTC)


def date_in(at: datetime, time_zone: str) -> date:
    """The date in this time zone at this moment."""
    return at.astimezone(ZoneInfo(time_zone)).date()


def last_cut_off(at: datetime, cut_off: str, time_zone: str) -> date:
    """The latest date whose cut-off has been reached at this moment; the moment itself counts."""
    day = date_in(at, time_zone) + _DAY
    while moment_of(day, cut_off, time_zone) > at:
        day -= _DAY
    return day


@dataclass(frozen=True)
class Rhythm:
    """Which days something is due on: each business day, a day of the week, a day of the month.

    `weekday` counts from Monday as 0. `day_of_month` is 1..31 or `last`; in a month that is too
    short the last day stands for it. A day that is no business day moves: weekly to the next one,
    monthly within the month.
    """

    every: Literal["day", "week", "month"]
    weekday: int = 0
    day_of_month: int | Literal["last"] = "last"

    def nominal(self, day: date) -> date:
        """The day that the rhythm names, before it moves: the latest one up to this day for a
        week, the one of this day's month for a month.
        """
        if self.every == "day":
            return day
        if self.every == "week":
            return day - _DAY * ((day.weekday() - self.weekday) % 7)
        last = _last_of_month(day)
        wanted = last.day if self.day_of_month == "last" else min(self.day_of_month, last.day)
        return day.replace(day=wanted)

    def is_due(self, day: date, calendar: BusinessCalendar) -> bool:
        """Whether it is due on this day, which is then a business day."""
        if self.every == "month":
            return calendar.within_month(self.nominal(day)) == day
        return calendar.on_or_after(self.nominal(day)) == day

    def is_due_between(self, after: date, until: date, calendar: BusinessCalendar) -> bool:
        """Whether it is due on any day after `after` and up to `until`."""
        days = (after + _DAY * n for n in range(1, (until - after).days + 1))
        return any(self.is_due(day, calendar) for day in days)


def _last_of_month(day: date) -> date:
    return (day.replace(day=28) + _DAY * 4).replace(day=1) - _DAY


@lru_cache(maxsize=1)
def _known_calendars() -> frozenset[str]:
    # Imported when it is asked: most processes never ask, and it takes a quarter of a second.
    import holidays

    countries = holidays.list_supported_countries(include_aliases=False)
    return frozenset(countries) | frozenset(holidays.list_supported_financial())


@lru_cache(maxsize=256)
def _days_off(code: str) -> HolidayBase:
    import holidays

    if code in holidays.list_supported_countries(include_aliases=False):
        return holidays.country_holidays(code)
    return holidays.financial_holidays(code)
