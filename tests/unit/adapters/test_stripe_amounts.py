"""Amounts go to Stripe and come back as they were, or do not go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.stripe.amounts import CURRENCIES, NotExpressible, from_stripe, to_stripe
from recompense.domain.money import MAX_AMOUNT, exponent


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(1, MAX_AMOUNT), st.booleans())
def test_amount_comes_back_as_it_was_or_is_refused(
    currency: str, amount: int, payout: bool
) -> None:
    try:
        units = to_stripe(amount, currency, payout=payout)
    except NotExpressible:
        return
    assert from_stripe(units, currency) == amount


@pytest.mark.parametrize("currency", sorted(CURRENCIES - {"MGA", "ISK", "UGX"}))
def test_minor_units_are_those_of_iso_4217_but_for_three_currencies(currency: str) -> None:
    assert to_stripe(1_000, currency) == 1_000
    assert exponent(currency) in (0, 2, 3)


@pytest.mark.parametrize(
    ("currency", "ours", "units"),
    [
        ("JPY", 500, 500),  # no decimals at both
        ("EUR", 500, 500),
        ("ISK", 5, 500),  # none in ISO 4217, two at Stripe
        ("UGX", 5, 500),
        ("MGA", 500, 5),  # two in ISO 4217, none at Stripe
        ("KWD", 5_120, 5_120),
    ],
)
def test_special_currency_counts_in_stripes_units(currency: str, ours: int, units: int) -> None:
    assert to_stripe(ours, currency) == units
    assert from_stripe(units, currency) == ours


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("KWD", 5_124), ("BHD", 1), ("TND", 1_005), ("MGA", 501), ("IQD", 1_000), ("LYD", 1_000)],
)
def test_amount_that_would_be_rounded_is_refused(currency: str, amount: int) -> None:
    with pytest.raises(NotExpressible):
        to_stripe(amount, currency)


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_payout_of_a_fraction_is_refused_where_only_whole_units_are_paid_out(currency: str) -> None:
    assert to_stripe(1_045, currency) == 1_045
    assert to_stripe(1_000, currency, payout=True) == 1_000
    with pytest.raises(NotExpressible):
        to_stripe(1_045, currency, payout=True)


@pytest.mark.parametrize("currency", ["ISK", "UGX"])
def test_units_between_two_amounts_are_refused(currency: str) -> None:
    with pytest.raises(NotExpressible):
        from_stripe(550, currency)
