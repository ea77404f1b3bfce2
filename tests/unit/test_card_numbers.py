"""Card numbers are recognised however they are written, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from recompense.domain.card_numbers import HIDDEN, holds_card_number, without_card_numbers
from recompense.domain.ids import IdPrefix, new_id

NUMBERS = st.text("0123456789", min_size=12, max_size=18).map(
    lambda digits: digits + luhn.calc_check_digit(digits)
)
SEPARATORS = st.sampled_from(["", " ", "-", "  ", "\u00a0", "\u2011", "\u2013", "\u200b", "\t"])


@given(NUMBERS, st.data())
def test_number_with_any_separators_is_found_and_hidden(number: str, data: st.DataObject) -> None:
    written = number[0] + "".join(data.draw(SEPARATORS) + digit for digit in number[1:])
    assert holds_card_number(f"card: {written}.")
    assert without_card_numbers(f"card: {written}.") == f"card: {HIDDEN}."


@given(st.text("0123456789", min_size=1, max_size=12))
def test_short_numbers_are_not_card_numbers(digits: str) -> None:
    assert not holds_card_number(f"a {digits} b")


@given(NUMBERS)
def test_number_that_fails_luhn_is_not_one(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not holds_card_number(wrong)


@given(st.text("0123456789", min_size=20, max_size=60))
def test_longer_runs_are_not_card_numbers(digits: str) -> None:
    assert not holds_card_number(digits)


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    hidden = without_card_numbers(text)
    assert (hidden == text) or HIDDEN in hidden


@pytest.mark.parametrize("prefix", list(IdPrefix))
def test_our_own_ids_are_never_taken_for_one(prefix: IdPrefix) -> None:
    assert not holds_card_number(new_id(prefix))
    assert not holds_card_number(f"{prefix}_01234567890123456789012345")
