"""Card numbers: how one is recognised, so that it is refused at the door and hidden in every log.

A card number is 13 to 19 digits that pass Luhn (ISO/IEC 7812-1), with or without spaces and dashes
between them, and with no further digit at either end.

Ids are not looked into: ours, UUIDs, and other words of 32 hexadecimal digits or more. One UUID in
330 would pass for a card number, and callers send them as their own references.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate, zip_longest

from recompense.domain.ids import IdPrefix

HIDDEN = "[card number]"
_SHORTEST, _LONGEST = 13, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Luhn's double of each digit."""

_SEPARATOR = r"[\s\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufe63\uff0d-]"
_RUN = re.compile(rf"\d(?:{_SEPARATOR}*\d){{{_SHORTEST - 1},}}")
_RUN_AT_END = re.compile(rf"(?:\d|{_SEPARATOR})+\Z")
_GROUP = re.compile(r"\d+")
_OURS = rf"\b(?:{'|'.join(IdPrefix)})_[0-7][0-9A-HJKMNP-TV-Z]{{25}}\b"
_HEX = "[0-9A-F]"
_TRACK_2 = r"[0-9]+D[0-9]+F*"
"""A magnetic stripe as terminals tell it: hexadecimal as well, and a card number."""
_UUID = f"{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}"
_LONG_HEX = rf"(?!{_TRACK_2}\b){_HEX}{{32,}}"
_ID = re.compile(rf"{_OURS}|(?i:(?<![0-9A-Z])(?:{_UUID}|{_LONG_HEX})(?![0-9A-Z]))")


def holds_card_number(text: str) -> bool:
    """Whether the text is, or holds, what looks like a card number."""
    if len(text) < _SHORTEST:
        return False
    between_ids = _ID.split(text)
    return any(_in_run(match[0]) for part in between_ids for match in _RUN.finditer(part))


def without_card_numbers(text: str) -> str:
    """The text with each run of digits that holds a card number hidden."""
    if not holds_card_number(text):
        return text
    ids = [match[0] for match in _ID.finditer(text)]
    between = [_RUN.sub(_hidden, part) for part in _ID.split(text)]
    return "".join(part for pair in zip_longest(between, ids, fillvalue="") for part in pair)


def shortened(text: str, length: int) -> str:
    """The text's first characters, and an ellipsis where any were left out.

    What stands at the cut and may be half a card number is left out as well: nobody could tell.
    """
    if len(text) <= length:
        return text
    return _RUN_AT_END.sub("", text[:length]) + "…"


def _hidden(run: re.Match[str]) -> str:
    return HIDDEN if _in_run(run[0]) else run[0]


def _in_run(run: str) -> bool:
    """Whether neighbouring groups of the run's digits make a card number together.

    The steps that it takes grow with the run's length and with nothing else: a caller chooses it.
    """
    groups = _GROUP.findall(run)
    edges = list(accumulate(map(len, groups), initial=0))
    begins = set(edges)
    digits = [unicodedata.digit(digit) for group in groups for digit in group]
    # Luhn doubles every second digit, from the one before the last: which they are depends on
    # whether the number ends at an even place. Its sum is then the difference of two sums from the
    # run's beginning.
    sums = [list(accumulate(_weighed(digits, ends_at), initial=0)) for ends_at in (0, 1)]
    for end in edges:
        of_end = sums[end % 2]
        for begin in range(end - _LONGEST, end - _SHORTEST + 1):
            if begin in begins and (of_end[end] - of_end[begin]) % 10 == 0:
                return True
    return False


def _weighed(digits: list[int], ends_at: int) -> Iterator[int]:
    return (
        _DOUBLED[digit] if place % 2 == ends_at else digit for place, digit in enumerate(digits)
    )
