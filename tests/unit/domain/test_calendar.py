"""The calendar's tables: holidays, weekends, month ends, leap days, and clocks that jump."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recompense.domain.calendar import (
    BusinessCalendar,
    Rhythm,
    calendar_of,
    date_in,
    is_calendar,
    is_time_zone,
    last_cut_off,
    moment_of,
)

GERMANY = BusinessCalendar("DE")
BRITAIN = BusinessCalendar("GB")
AMERICA = BusinessCalendar("US")
TARGET = BusinessCalendar("ECB")
ARABIA = BusinessCalendar("SA")

days = st.dates(date(2000, 1, 1), date(2050, 12, 31))
calendars = st.sampled_from([GERMANY, BRITAIN, AMERICA, TARGET, ARABIA, BusinessCalendar("CN")])


@pytest.mark.parametrize(
    ("calendar", "day", "works"),
    [
        (GERMANY, date(2026, 11, 27), True),
        (GERMANY, date(2026, 11, 28), False),  # a Saturday
        (GERMANY, date(2026, 12, 25), False),
        (GERMANY, date(2026, 10, 3), False),  # German Unity Day
        (GERMANY, date(2026, 4, 6), False),  # Easter Monday
        (AMERICA, date(2026, 4, 6), True),
        (AMERICA, date(2026, 11, 26), False),  # Thanksgiving
        (AMERICA, date(2026, 7, 3), False),  # Independence Day is a Saturday: the day before
        (BRITAIN, date(2027, 12, 27), False),  # Christmas is a Saturday: the Monday after
        (TARGET, date(2026, 5, 1), False),
        (TARGET, date(2026, 10, 3) + timedelta(days=2), True),
        (ARABIA, date(2026, 11, 27), False),  # Friday is the weekend
        (ARABIA, date(2026, 11, 29), True),  # and Sunday is not
        (BusinessCalendar("CN"), date(2024, 2, 4), True),  # a Sunday worked for the New Year
        (GERMANY, date(2024, 2, 29), True),
    ],
)
def test_a_day_is_a_business_day_where_banks_work(
    calendar: BusinessCalendar, day: date, works: bool
) -> None:
    assert calendar.is_business_day(day) is works


@pytest.mark.parametrize(
    ("day", "count", "reached"),
    [
        (date(2026, 11, 25), 0, date(2026, 11, 25)),
        (date(2026, 11, 28), 0, date(2026, 11, 30)),
        (date(2026, 11, 27), 1, date(2026, 11, 30)),
        (date(2026, 11, 28), 1, date(2026, 11, 30)),
        (date(2026, 12, 23), 2, date(2026, 12, 28)),  # Friday is Christmas
        (date(2026, 12, 30), 2, date(2027, 1, 4)),
        (date(2024, 2, 28), 1, date(2024, 2, 29)),
        (date(2023, 2, 28), 1, date(2023, 3, 1)),
        (date(2026, 4, 2), 1, date(2026, 4, 7)),  # over Easter
    ],
)
def test_business_days_are_counted_over_weekends_and_holidays(
    day: date, count: int, reached: date
) -> None:
    assert GERMANY.plus(day, count) == reached


def test_business_days_are_not_counted_backwards() -> None:
    with pytest.raises(ValueError, match="forward"):
        GERMANY.plus(date(2026, 11, 27), -1)


@given(calendars, days)
def test_the_nearest_business_days_enclose_the_day(calendar: BusinessCalendar, day: date) -> None:
    before, after = calendar.on_or_before(day), calendar.on_or_after(day)
    assert before <= day <= after
    assert calendar.last_before(day) < day < calendar.next_after(day)
    assert (before == day == after) is calendar.is_business_day(day)
    assert calendar.last_before(calendar.next_after(day)) == before


@given(calendars, days, st.integers(0, 15), st.integers(1, 15))
def test_business_days_add_up(calendar: BusinessCalendar, day: date, n: int, m: int) -> None:
    assert calendar.plus(calendar.plus(day, n), m) == calendar.plus(day, n + m) or (
        n == 0 and not calendar.is_business_day(day)
    )


def test_a_country_without_a_calendar_has_the_default_one() -> None:
    assert calendar_of("DE") == GERMANY
    assert calendar_of("XX", default="GB") == BRITAIN
    assert is_calendar("ECB")
    assert not is_calendar("nowhere")


@pytest.mark.parametrize(
    ("day", "at", "zone", "moment"),
    [
        (date(2026, 11, 27), "17:00", "Europe/Berlin", "2026-11-27T16:00"),
        (date(2026, 7, 27), "17:00", "Europe/Berlin", "2026-07-27T15:00"),
        (date(2026, 3, 29), "02:30", "Europe/Berlin", "2026-03-29T01:30"),  # skipped: 03:30 summer
        (date(2026, 10, 25), "02:30", "Europe/Berlin", "2026-10-25T00:30"),  # twice: the first
        (date(2026, 3, 8), "02:00", "America/New_York", "2026-03-08T07:00"),
        (date(2026, 11, 1), "01:30", "America/New_York", "2026-11-01T05:30"),
        (date(2026, 10, 4), "02:15", "Australia/Lord_Howe", "2026-10-03T15:45"),  # half an hour
        (date(2026, 9, 6), "00:00", "America/Santiago", "2026-09-06T04:00"),  # midnight is skipped
        (date(2026, 11, 27), "00:00", "Asia/Kathmandu", "2026-11-26T18:15"),
        (date(2024, 2, 29), "23:59", "UTC", "2024-02-29T23:59"),
    ],
)
def test_a_time_of_day_is_reached_once(day: date, at: str, zone: str, moment: str) -> None:
    assert moment_of(day, at, zone) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["24:00", "7:00", "07:60", "noon", "07:00:00", ""])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM"):
        moment_of(date(2026, 11, 27), text, "UTC")


zones = st.sampled_from(
    ["Europe/Berlin", "America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
moments = st.integers(0, 21 * 365 * 24 * 60).map(
    lambda minutes: datetime(2009, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(moments, times, zones)
def test_the_last_cut_off_is_the_latest_that_was_reached(
    at: datetime, cut_off: str, zone: str
) -> None:
    day = last_cut_off(at, cut_off, zone)
    assert moment_of(day, cut_off, zone) <= at < moment_of(day + timedelta(days=1), cut_off, zone)


def test_a_cut_off_is_reached_in_its_own_time_zone() -> None:
    at = datetime(2026, 11, 27, 22, 30, tzinfo=UTC)
    assert last_cut_off(at, "17:30", "America/New_York") == date(2026, 11, 27)
    assert last_cut_off(at, "17:31", "America/New_York") == date(2026, 11, 26)
    assert last_cut_off(at, "07:00", "Asia/Tokyo") == date(2026, 11, 28)
    assert date_in(at, "Asia/Tokyo") == date(2026, 11, 28)


def test_a_time_zone_is_one_of_the_iana_database() -> None:
    assert is_time_zone("Europe/Berlin")
    for name in ("Europe/Atlantis", "", "../etc/passwd", "UTC+99", "\0"):
        assert not is_time_zone(name)


MONTHLY = [
    ("last", 2026, 1, date(2026, 1, 30)),  # the 31st is a Saturday
    ("last", 2026, 2, date(2026, 2, 27)),
    ("last", 2024, 2, date(2024, 2, 29)),
    ("last", 2026, 12, date(2026, 12, 31)),
    ("last", 2027, 12, date(2027, 12, 31)),
    (31, 2026, 4, date(2026, 4, 30)),
    (31, 2026, 5, date(2026, 5, 29)),  # a Sunday; Monday is in June
    (30, 2026, 2, date(2026, 2, 27)),
    (29, 2024, 2, date(2024, 2, 29)),
    (29, 2023, 2, date(2023, 2, 28)),
    (1, 2026, 5, date(2026, 5, 4)),  # Labour Day, then a weekend
    (1, 2026, 1, date(2026, 1, 2)),
    (25, 2026, 12, date(2026, 12, 28)),
    (15, 2026, 11, date(2026, 11, 16)),
]


@pytest.mark.parametrize(("day_of_month", "year", "month", "due"), MONTHLY)
def test_a_month_has_one_due_day(day_of_month: object, year: int, month: int, due: date) -> None:
    rhythm = Rhythm("month", day_of_month=day_of_month)  # type: ignore[arg-type]  # the table's mix
    found = [day for day in _days_of(year, month) if rhythm.is_due(day, GERMANY)]
    assert found == [due]


@pytest.mark.parametrize(
    ("weekday", "week", "due"),
    [
        (0, date(2026, 11, 23), date(2026, 11, 23)),
        (4, date(2026, 12, 21), date(2026, 12, 28)),  # Christmas Day: after the weekend
        (5, date(2026, 11, 23), date(2026, 11, 30)),
        (3, date(2026, 5, 11), date(2026, 5, 15)),  # Ascension Day
        (0, date(2026, 4, 6), date(2026, 4, 7)),  # Easter Monday
    ],
)
def test_a_weekly_day_moves_to_the_next_business_day(weekday: int, week: date, due: date) -> None:
    nominal = week + timedelta(days=weekday)
    rhythm = Rhythm("week", weekday=weekday)
    ahead = (nominal + timedelta(days=n) for n in range(7))
    assert [day for day in ahead if rhythm.is_due(day, GERMANY)] == [due]


def test_a_daily_rhythm_is_due_on_business_days_only() -> None:
    week = [date(2026, 11, 23) + timedelta(days=n) for n in range(7)]
    assert [day for day in week if Rhythm("day").is_due(day, AMERICA)] == [
        *week[:3],
        week[4],
    ]


@given(calendars, days, st.integers(0, 6))
def test_a_week_that_is_named_is_due_once(
    calendar: BusinessCalendar, day: date, weekday: int
) -> None:
    rhythm = Rhythm("week", weekday=weekday)
    nominal = rhythm.nominal(day)
    moved = calendar.on_or_after(nominal)
    between = [nominal + timedelta(days=n) for n in range((moved - nominal).days + 1)]
    assert [day for day in between if rhythm.is_due(day, calendar)] == [moved]


def test_a_window_of_days_holds_what_is_due_in_it() -> None:
    fridays = Rhythm("week", weekday=4)
    assert fridays.is_due_between(date(2026, 11, 26), date(2026, 11, 30), GERMANY)
    assert not fridays.is_due_between(date(2026, 11, 27), date(2026, 11, 30), GERMANY)
    assert not fridays.is_due_between(date(2026, 11, 27), date(2026, 11, 27), GERMANY)


def _days_of(year: int, month: int) -> list[date]:
    first = date(year, month, 1)
    return [d for n in range(31) if (d := first + timedelta(days=n)).month == month]
