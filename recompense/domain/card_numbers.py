"""Card numbers: how one is recognised, so that it is refused at the door and hidden in every log.

A card number is 13 to 19 digits that pass Luhn (ISO/IEC 7812-1), with or without spaces and dashes
between them, and with no further digit at either end.
"""

from __future__ import annotations

import re
import unicodedata

from stdnum import luhn

from recompense.domain.ids import IdPrefix

HIDDEN = "[card number]"
_SHORTEST, _LONGEST = 13, 19

_BETWEEN = r"[\s\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufe63\uff0d-]*"
_RUN = re.compile(rf"\d(?:{_BETWEEN}\d){{{_SHORTEST - 1},}}")
_GROUP = re.compile(r"\d+")
_OUR_ID = re.compile(rf"\b(?:{'|'.join(IdPrefix)})_[0-7][0-9A-HJKMNP-TV-Z]{{25}}\b")


def holds_card_number(text: str) -> bool:
    """Whether the text is, or holds, what looks like a card number. Our own ids do not count."""
    if len(text) < _SHORTEST:
        return False
    return any(_in_run(match[0]) for match in _RUN.finditer(_OUR_ID.sub(" / ", text)))


def without_card_numbers(text: str) -> str:
    """The text with each run of digits that holds a card number hidden."""
    if len(text) < _SHORTEST:
        return text
    return _RUN.sub(lambda match: HIDDEN if _in_run(match[0]) else match[0], text)


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
