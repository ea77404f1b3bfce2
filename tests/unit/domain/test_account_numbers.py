"""Account numbers are cut wherever a text holds one."""

from __future__ import annotations

import pytest

from recompense.domain.account_numbers import without_account_numbers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DE89370400440532013000", "DE...3000"),
        ("camt053_DE89370400440532013000.xml", "camt053_DE...3000.xml"),
        (
            "de89 3704 0044 0532 0130 00 and FR1420041010050500013M02606.",
            "de...3000 and FR...2606.",
        ),
        ("NO9386011117947", "NO...7947"),
        ("MT84MALT011000012345MTLCAST001S", "MT...001S"),
        ("RCMP20261127T150000Z.pain001.xml", "RCMP20261127T150000Z.pain001.xml"),
        ("told 3", "told 3"),
    ],
)
def test_account_number_in_a_text_is_cut_and_nothing_else(text: str, shown: str) -> None:
    assert without_account_numbers(text) == shown
