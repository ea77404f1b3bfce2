"""Adyen's minor units and references: exact there and back, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iso4217 import Currency

from adapters.adyen.amounts import NotExpressible, from_adyen, is_expressible, to_adyen
from adapters.adyen.references import effect_key_in, operation_of, reference_of
from recompense.domain.effects import effect_key
from recompense.domain.ids import IdPrefix, new_id
from recompense.domain.money import MAX_AMOUNT

CURRENCIES = sorted(one.code for one in Currency if one.exponent is not None)


@settings(deadline=None)
@given(st.integers(1, MAX_AMOUNT), st.sampled_from(CURRENCIES))
def test_amount_comes_back_as_it_went_or_is_refused(amount: int, currency: str) -> None:
    if is_expressible(amount, currency):
        assert from_adyen(to_adyen(amount, currency), currency) == amount
    else:
        with pytest.raises(NotExpressible):
            to_adyen(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency", "theirs"),
    [
        (1_000, "EUR", 1_000),
        (1_000, "JPY", 1_000),
        (1_234, "BHD", 1_234),
        (2_790, "ISK", 279_000),
        (5_000, "CLP", 500_000),
        (12_300, "IDR", 123),
        (700, "CVE", 7),
    ],
)
def test_four_currencies_are_counted_otherwise(amount: int, currency: str, theirs: int) -> None:
    assert to_adyen(amount, currency) == theirs
    assert from_adyen(theirs, currency) == amount


@pytest.mark.parametrize(
    ("convert", "amount", "currency"),
    [(to_adyen, 1, "IDR"), (to_adyen, 12_345, "CVE"), (from_adyen, 50, "ISK")],
)
def test_what_the_other_side_does_not_count_is_refused(
    convert: object, amount: int, currency: str
) -> None:
    assert callable(convert)
    with pytest.raises(NotExpressible):
        convert(amount, currency)


@pytest.mark.parametrize("prefix", [IdPrefix.PAYMENT, IdPrefix.REFUND, IdPrefix.PAYOUT])
@pytest.mark.parametrize("step", ["authorize", "authorize.undo", "void.1.orphan", "authorize.2"])
def test_effect_key_is_named_and_known_again(prefix: IdPrefix, step: str) -> None:
    key = effect_key(new_id(prefix), step, 12)
    reference = reference_of(key)
    assert ":" not in reference
    assert effect_key_in(reference) == key
    assert operation_of(key) == key.partition(":")[0]


@pytest.mark.parametrize(
    "reference",
    [None, "", "Order 17", "pay_1/authorize", "pay_1/a/b/1", "pay_1:authorize:1", "//1"],
)
def test_other_references_are_none_of_ours(reference: str | None) -> None:
    assert effect_key_in(reference) is None


@pytest.mark.parametrize("key", ["pay_1", "pay_1:a/b:1", "pay_1:authorize:x", ""])
def test_what_is_no_effect_key_is_not_sent(key: str) -> None:
    with pytest.raises(ValueError, match="is not an effect key"):
        reference_of(key)
