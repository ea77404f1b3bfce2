"""Card numbers are recognised however they are written, and nothing else is."""

from __future__ import annotations

import sys
import unicodedata
from types import FrameType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from recompense.domain.card_numbers import (
    HIDDEN,
    holds_card_number,
    shortened,
    without_card_numbers,
)
from recompense.domain.ids import IdPrefix, new_id

NUMBERS = st.text("0123456789", min_size=12, max_size=18).map(
    lambda digits: digits + luhn.calc_check_digit(digits)
)
SEPARATORS = st.sampled_from(["", " ", "-", "  ", "\u00a0", "\u2011", "\u2013", "\u200b", "\t"])
GROUPS = st.lists(
    st.text("0123456789\u0664\u096a\uff14", min_size=1, max_size=19), min_size=1, max_size=6
)
GAPS = st.sampled_from([" ", "--", "\u2011", "\u200b"])


@given(NUMBERS, st.data())
def test_number_with_any_separators_is_found_and_hidden(number: str, data: st.DataObject) -> None:
    written = number[0] + "".join(data.draw(SEPARATORS) + digit for digit in number[1:])
    assert holds_card_number(f"card: {written}.")
    assert without_card_numbers(f"card: {written}.") == f"card: {HIDDEN}."


@given(GROUPS, st.data())
def test_run_holds_a_number_where_neighbouring_groups_pass_luhn(
    groups: list[str], data: st.DataObject
) -> None:
    plain = ["".join(str(unicodedata.digit(digit)) for digit in group) for group in groups]
    windows = [
        "".join(plain[begin:end])
        for begin in range(len(plain))
        for end in range(begin + 1, len(plain) + 1)
    ]
    holds = any(13 <= len(window) <= 19 and luhn.is_valid(window) for window in windows)
    run = groups[0] + "".join(data.draw(GAPS) + group for group in groups[1:])
    assert holds_card_number(f"card: {run}.") == holds


@pytest.mark.parametrize(
    "run", ["1-" * 2_000, "1" * 2_000, "1234567-" * 250, "1\u200b\u0661" * 1_000]
)
def test_long_run_is_decided_in_few_calls_for_each_digit(run: str) -> None:
    assert _calls_for(run) <= 5 * 2_000


def _calls_for(text: str) -> int:
    """How many calls, of ours and of Python's, it takes to find no card number in a text."""
    called = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        found = holds_card_number(text)
    finally:
        sys.setprofile(before)
    assert not found
    return called


@given(NUMBERS, st.data())
def test_nothing_of_a_number_at_the_cut_is_left(number: str, data: st.DataObject) -> None:
    written = number[0] + "".join(data.draw(SEPARATORS) + digit for digit in number[1:])
    path = f"/v1/{written}/x"
    cut = data.draw(st.integers(min_value=5, max_value=len(path) - 3))
    assert shortened(path, cut) == "/v1/…"


@given(st.text(), st.integers(min_value=1, max_value=40))
def test_text_that_is_shortened_is_its_own_beginning(text: str, length: int) -> None:
    short = shortened(text, length)
    assert short == text if len(text) <= length else len(short) <= length + 1
    assert text.startswith(short.removesuffix("…"))


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


@given(st.uuids(), st.sampled_from(["{}", "order {}", "ord_{}:1", "{}, then 12 34"]))
def test_uuids_are_never_taken_for_one(uuid: UUID, form: str) -> None:
    for written in (str(uuid), uuid.hex, str(uuid).upper(), uuid.hex * 2):
        text = form.format(written)
        assert not holds_card_number(text)
        assert without_card_numbers(text) == text


def test_uuid_whose_digits_pass_luhn_is_not_one() -> None:
    assert not holds_card_number("abcdef42-4242-4242-4242-42424242abcd")
    assert not holds_card_number("42424242-4242-4242-4242-424242424242")
    assert not holds_card_number("abcd4242424242424242abcdabcdabcd")


@given(NUMBERS)
def test_number_beside_an_id_is_found_and_the_id_stays(number: str) -> None:
    uuid = "c0ffee00-0000-4000-8000-00000000cafe"
    text = f"{number} {uuid} {number}"
    assert without_card_numbers(text) == f"{HIDDEN} {uuid} {HIDDEN}"


@pytest.mark.parametrize(
    "track",
    [
        "4242424242424242D25121010000012345678",
        "4242424242424242D2512101000001234567F",
        "%B4242424242424242^SOMEBODY/A^25121010000012345678",
        "4242424242424242D251210100000123",
        "4242424242424242d251210100000123",
    ],
)
def test_magnetic_stripes_are_found(track: str) -> None:
    assert holds_card_number(track)
    assert "424242424242" not in without_card_numbers(track)
