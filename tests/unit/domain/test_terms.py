"""A merchant's terms: every rule of the arithmetic, to the minor unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recompense.domain.calendar import calendar_of
from recompense.domain.money import MAX_AMOUNT
from recompense.domain.terms import Availability, FeeSchedule, ReserveTerms, half_up

CARD = "card_token"
amounts = st.integers(1, MAX_AMOUNT)
shares = st.integers(0, 10_000)


def schedule(**terms: Any) -> FeeSchedule:
    return FeeSchedule.model_validate(terms)


@pytest.mark.parametrize(
    ("terms", "amount", "currency", "fee"),
    [
        ({}, 10_000, "EUR", 0),
        ({"basis_points": 100}, 10_000, "EUR", 100),
        ({"basis_points": 100}, 149, "EUR", 1),
        ({"basis_points": 100}, 150, "EUR", 2),
        ({"basis_points": 100}, 49, "EUR", 0),
        ({"basis_points": 100}, 50, "EUR", 1),
        ({"basis_points": 1}, 4_999, "JPY", 0),
        ({"basis_points": 1}, 5_000, "JPY", 1),
        ({"basis_points": 290, "fixed": 30}, 1_000, "EUR", 59),
        ({"fixed": {"EUR": 30}}, 1_000, "EUR", 30),
        ({"fixed": {"EUR": 30}}, 1_000, "JPY", 0),
        ({"fixed": 30}, 20, "EUR", 20),
        ({"basis_points": 100, "minimum": 50}, 1_000, "EUR", 50),
        ({"basis_points": 100, "minimum": 50}, 6_000, "EUR", 60),
        ({"basis_points": 100, "minimum": {"JPY": 50}}, 1_000, "EUR", 10),
        ({"minimum": 50}, 20, "EUR", 20),
        ({"basis_points": 100, "maximum": 50}, 10_000, "EUR", 50),
        ({"basis_points": 100, "maximum": {"EUR": 50}}, 10_000, "JPY", 100),
        ({"basis_points": 100, "fixed": 30, "maximum": 100}, 8_000, "EUR", 100),
        ({"basis_points": 100, "maximum": 0}, 8_000, "EUR", 0),
        ({"basis_points": 10_000}, 123, "EUR", 123),
    ],
)
def test_fee_is_share_and_fixed_part_within_bounds(
    terms: dict[str, Any], amount: int, currency: str, fee: int
) -> None:
    assert schedule(**terms).fee(amount, currency, CARD) == fee


@pytest.mark.parametrize(
    ("currency", "payment_method", "fee"),
    [("EUR", CARD, 10), ("JPY", CARD, 300), ("JPY", "bank_debit", 20), ("EUR", "bank_debit", 20)],
)
def test_first_exception_that_fits_is_the_whole_rule(
    currency: str, payment_method: str, fee: int
) -> None:
    terms = schedule(
        basis_points=100,
        exceptions=[
            {"payment_method": "bank_debit", "fixed": 20},
            {"currency": "JPY", "fixed": 300},
        ],
    )
    assert terms.fee(1_000, currency, payment_method) == fee


@given(amount=amounts, basis_points=shares)
def test_half_a_minor_unit_is_rounded_up(amount: int, basis_points: int) -> None:
    exact = Fraction(amount * basis_points, 10_000)
    fee = schedule(basis_points=basis_points).fee(amount, "EUR", CARD)
    assert fee == floor(exact + Fraction(1, 2))


@given(
    amount=amounts,
    basis_points=shares,
    fixed=st.integers(0, 1_000),
    bounds=st.lists(st.integers(0, 5_000), min_size=2, max_size=2).map(sorted),
)
def test_fee_is_within_its_bounds_and_the_capture(
    amount: int, basis_points: int, fixed: int, bounds: list[int]
) -> None:
    least, most = bounds
    terms = schedule(basis_points=basis_points, fixed=fixed, minimum=least, maximum=most)
    fee = terms.fee(amount, "EUR", CARD)
    assert min(amount, least) <= fee <= min(amount, most)


def test_terms_that_were_stored_before_mean_what_they_meant() -> None:
    stored = FeeSchedule.model_validate({"basis_points": 140, "fixed": {"EUR": 25}})
    assert stored.fee(10_000, "EUR", CARD) == 165
    assert stored.due_back(fees=165, captured=10_000, refunded=10_000, returned=0) == 0
    assert stored.return_fee(10_000, "EUR") == 0
    assert ReserveTerms.model_validate({}).kept(10_000) == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"minimum": 50, "maximum": 49},
        {"minimum": {"EUR": 50}, "maximum": 49},
        {"minimum": 50, "maximum": {"EUR": 49}},
        {"exceptions": [{"basis_points": 1}]},
        {"exceptions": [{"currency": "XXX"}]},
        {"exceptions": [{"currency": "EUR", "minimum": 2, "maximum": 1}]},
        {"exceptions": [{"currency": "EUR"}] * 101},
        {"basis_points": 10_001},
        {"basis_points": 1.5},
        {"fixed": -1},
        {"on_refund": "sometimes"},
        {"rounding": "down"},
    ],
)
def test_schedule_that_cannot_be_meant_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schedule(**terms)


def test_bounds_of_other_currencies_do_not_meet() -> None:
    terms = schedule(minimum={"EUR": 50}, maximum={"JPY": 10})
    assert terms.fee(1_000, "EUR", CARD) == 50
    assert terms.fee(1_000, "JPY", CARD) == 0


@given(
    captured=st.integers(1, 100_000),
    fee_share=shares,
    cuts=st.lists(st.integers(0, 100_000), max_size=8),
)
def test_fees_of_any_split_of_refunds_add_up(
    captured: int, fee_share: int, cuts: list[int]
) -> None:
    terms = schedule(on_refund="returned")
    fees = half_up(captured * fee_share, 10_000)
    returned = 0
    for refunded in [*sorted(min(cut, captured) for cut in cuts), captured]:
        back = terms.due_back(fees=fees, captured=captured, refunded=refunded, returned=returned)
        assert back >= 0
        returned += back
        assert returned <= fees
    assert returned == fees


def test_fee_that_went_back_is_not_taken_again_by_a_later_capture() -> None:
    terms = schedule(on_refund="returned")
    assert terms.due_back(fees=10, captured=100, refunded=100, returned=0) == 10
    assert terms.due_back(fees=20, captured=1_000, refunded=200, returned=10) == 0
    assert terms.due_back(fees=20, captured=1_000, refunded=1_000, returned=10) == 10


@pytest.mark.parametrize(("amount", "fee"), [(1_000, 250), (250, 250), (100, 100)])
def test_return_costs_no_more_than_came_back(amount: int, fee: int) -> None:
    assert schedule(payout_return={"EUR": 250}).return_fee(amount, "EUR") == fee
    assert schedule(payout_return={"EUR": 250}).return_fee(amount, "USD") == 0


@given(amount=st.integers(0, MAX_AMOUNT), basis_points=st.integers(1, 10_000))
def test_reserve_keeps_its_share_and_never_more_than_there_is(
    amount: int, basis_points: int
) -> None:
    kept = ReserveTerms(basis_points=basis_points, days=1).kept(amount)
    assert kept == floor(Fraction(amount * basis_points, 10_000) + Fraction(1, 2)) <= amount


@pytest.mark.parametrize("terms", [{"basis_points": 1}, {"days": 1}, {"days": 731}])
def test_reserve_without_share_or_days_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReserveTerms.model_validate(terms)


FRIDAY_NIGHT = datetime(2026, 5, 29, 22, 30, tzinfo=UTC)
"""In Berlin that is Saturday already, half past midnight."""


@pytest.mark.parametrize(
    ("terms", "time_zone", "due"),
    [
        ({"rule": "on_settlement"}, "UTC", None),
        ({"rule": "on_capture"}, "UTC", FRIDAY_NIGHT),
        ({"rule": "after_days", "days": 2}, "UTC", FRIDAY_NIGHT + timedelta(days=2)),
        (
            {"rule": "after_days", "days": 1, "business_days": True},
            "UTC",
            datetime(2026, 6, 1, tzinfo=UTC),
        ),
        (
            {"rule": "after_days", "days": 1, "business_days": True},
            "Europe/Berlin",
            datetime(2026, 5, 31, 22, tzinfo=UTC),
        ),
        (
            {"rule": "after_days", "days": 0, "business_days": True},
            "Europe/Berlin",
            datetime(2026, 5, 31, 22, tzinfo=UTC),
        ),
        # Corpus Christi is no holiday of the whole country; Whit Monday, before it, was.
        (
            {"rule": "after_days", "days": 5, "business_days": True},
            "UTC",
            datetime(2026, 6, 5, tzinfo=UTC),
        ),
    ],
)
def test_money_is_due_by_the_calendar(
    terms: dict[str, Any], time_zone: str, due: datetime | None
) -> None:
    availability = Availability.model_validate(terms)
    assert availability.due_at(FRIDAY_NIGHT, calendar_of("DE"), time_zone) == due


def test_holidays_are_no_business_days() -> None:
    christmas_eve = datetime(2026, 12, 24, 12, tzinfo=UTC)
    terms = Availability(rule="after_days", days=1, business_days=True)
    # The 25th and the 26th are holidays in Germany, the 27th is a Sunday.
    due = terms.due_at(christmas_eve, calendar_of("DE"), "UTC")
    assert due == datetime(2026, 12, 28, tzinfo=UTC)
