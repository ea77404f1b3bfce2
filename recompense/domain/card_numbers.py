"""Card numbers: how one is recognised, so that it is refused at the door and hidden in every log.

A card number is 13 to 19 digits that pass Luhn (ISO/IEC 7812-1), with or without spaces and dashes
between them, and with no further digit at either end.

Ids are not looked into: ours, UUIDs, and other words of 32 hexadecimal digits or more. One UUID in
330 would pass for a card number, and callers send them as their own references.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import zip_longest

from stdnum import luhn

from recompense.domain.ids import IdPrefix

HIDDEN = "[card number]"
_SHORTEST, _LONGEST = 13, 19

_BETWEEN = r"[\s\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufe63\uff0d-]*"
_RUN = re.compile(rf"\d(?:{_BETWEEN}\d){{{_SHORTEST - 1},}}")
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


def _hidden(run: re.Match[str]) -> str:
    return HIDDEN if _in_run(run[0]) else run[0]


def _in_run(run: str) -> bool:
    """Whether neighbouring groups of the run's digits make a card number together."""
    groups = [_ascii(group) for group in _GROUP.findall(run)]
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > _LONGEST:
                break
            if len(digits) >= _SHORTEST and luhn.is_valid(digits):
                return True
    return False


def _ascii(digits: str) -> str:
    return "".join(str(unicodedata.digit(digit)) for digit in digits)
