"""Which merchants a run takes: rhythms, cut-offs in time zones, and windows without a gap."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recompense.domain.calendar import EVERY_DAY, BusinessCalendar
from recompense.domain.payout_dates import Clock, is_due_by_hand, is_due_in, rhythm_of
from recompense.domain.terms import PayoutTerms

BERLIN = Clock(BusinessCalendar("DE"), "Europe/Berlin")
GERMANY = BERLIN.calendar


def terms(**values: Any) -> PayoutTerms:
    return PayoutTerms.model_validate(values)


def fired(day: str, at: str = "06:00", clock: Clock = BERLIN) -> datetime:
    zone = ZoneInfo(clock.time_zone)
    return datetime.fromisoformat(f"{day}T{at}").replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    ("values", "every", "weekday", "day_of_month"),
    [
        ({"schedule": "daily"}, "day", 0, "last"),
        ({"schedule": "weekly"}, "week", 0, "last"),
        ({"schedule": "weekly", "weekday": "friday"}, "week", 4, "last"),
        ({"schedule": "monthly"}, "month", 0, "last"),
        ({"schedule": "monthly", "day_of_month": 15}, "month", 0, 15),
        ({"schedule": "big-shops", "day_of_month": "last"}, "month", 0, "last"),
        ({"schedule": "big-shops"}, "day", 0, "last"),
    ],
)
def test_a_rhythm_is_what_the_terms_state_or_the_name_says(
    values: dict[str, Any], every: str, weekday: int, day_of_month: object
) -> None:
    rhythm = rhythm_of(terms(**values))
    assert (rhythm.every, rhythm.weekday, rhythm.day_of_month) == (every, weekday, day_of_month)


@pytest.mark.parametrize(
    ("values", "day", "due"),
    [
        ({"schedule": "daily"}, "2026-11-30", True),
        ({"schedule": "weekly", "weekday": "monday"}, "2026-11-30", True),
        ({"schedule": "weekly", "weekday": "saturday"}, "2026-11-30", True),
        ({"schedule": "weekly", "weekday": "friday"}, "2026-11-30", False),
        ({"schedule": "weekly", "weekday": "friday"}, "2026-12-28", True),  # Christmas Day moved
        ({"schedule": "monthly"}, "2026-11-30", True),
        ({"schedule": "monthly", "day_of_month": 31}, "2026-11-30", True),
        ({"schedule": "monthly", "day_of_month": 29}, "2026-11-30", True),  # a Sunday
        ({"schedule": "monthly", "day_of_month": 28}, "2026-11-30", True),  # a Saturday
        ({"schedule": "monthly", "day_of_month": 27}, "2026-11-30", False),
    ],
)
def test_a_schedule_takes_who_is_due_since_the_run_before(
    values: dict[str, Any], day: str, due: bool
) -> None:
    assert is_due_in(terms(**values), GERMANY, BERLIN.window(fired(day))) is due


@pytest.mark.parametrize(
    ("cut_off", "zone", "day", "due"),
    [
        ("05:59", None, "2026-11-27", True),
        ("06:00", None, "2026-11-27", True),
        ("06:01", None, "2026-11-27", False),  # Friday's is reached after Friday's run
        ("06:01", None, "2026-11-30", True),  # so Monday's takes it
        ("17:00", "America/New_York", "2026-11-30", True),
        ("09:00", "Asia/Tokyo", "2026-11-27", True),
        ("09:00", "Asia/Tokyo", "2026-11-30", False),
    ],
)
def test_a_cut_off_that_is_not_reached_waits_for_the_next_run(
    cut_off: str, zone: str | None, day: str, due: bool
) -> None:
    friday = terms(schedule="weekly", weekday="friday", cut_off=cut_off, time_zone=zone)
    assert is_due_in(friday, GERMANY, BERLIN.window(fired(day))) is due


@settings(max_examples=60, deadline=None)
@given(
    st.dates(date(2026, 1, 1), date(2027, 12, 1)),
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kathmandu"]),
    st.sampled_from(["03:00", "06:00", "02:30", "23:30"]),
)
def test_every_due_day_falls_into_exactly_one_run(
    start: date, cut_off: str, zone: str, run_at: str
) -> None:
    """Over six weeks and whatever the clocks do, no day is taken twice and none is left out."""
    daily = terms(schedule="daily", cut_off=cut_off, time_zone=zone)
    runs = [start + timedelta(days=n) for n in range(42)]
    windows = [
        BERLIN.window(fired(str(day), run_at)).dates(daily)
        for day in runs
        if GERMANY.is_business_day(day)
    ]
    for (_, until), (after, _) in pairwise(windows):
        assert until == after


def test_a_person_chooses_the_date_and_only_stated_days_count() -> None:
    saturday, monday, tuesday = (date(2026, 11, day) for day in (28, 30, 24))
    assert is_due_by_hand(terms(schedule="weekly"), GERMANY, tuesday)
    assert is_due_by_hand(terms(schedule="daily", cut_off="23:59"), GERMANY, saturday)
    on_saturdays = terms(schedule="weekly", weekday="saturday")
    assert is_due_by_hand(on_saturdays, GERMANY, saturday)
    assert is_due_by_hand(on_saturdays, GERMANY, monday)
    assert not is_due_by_hand(on_saturdays, GERMANY, tuesday)


def test_a_platform_that_works_every_day_does_so_for_everybody() -> None:
    always = Clock(BusinessCalendar(EVERY_DAY), "UTC")
    assert always.of_country("DE").is_business_day(date(2026, 12, 25))
    assert BERLIN.of_country("US").code == "US"
    assert BERLIN.of_country("XX").code == "DE"
