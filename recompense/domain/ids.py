"""Identifiers: a prefix that names the kind and a ULID, which sorts by the time it was made."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ulid import ULID


class IdPrefix(StrEnum):
    """What an identifier names."""

    PAYMENT = "pay"
    CAPTURE = "cap"
    REFUND = "ref"
    PAYOUT = "po"
    PAYOUT_RUN = "run"
    PAYOUT_ITEM = "itm"
    RECONCILIATION = "rec"
    EVENT = "evt"
    MERCHANT = "mer"
    BREAK = "brk"
    WEBHOOK_ENDPOINT = "whe"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = 2**48 - 1
_ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"


def new_id(prefix: IdPrefix) -> str:
    """Make an identifier of 26 Crockford base32 characters behind its prefix. Reads the clock:
    never call it in a workflow.
    """
    return f"{prefix}_{ULID()}"


def is_id(prefix: IdPrefix, text: str) -> bool:
    """Tell whether `text` is an identifier of this kind, spelled as `new_id` spells it."""
    return re.fullmatch(f"{prefix}_{_ULID}", text) is not None


def earliest_id(prefix: IdPrefix, made: datetime, *, shifted: timedelta = timedelta(0)) -> str:
    """What no identifier of this kind sorts before that was made at a time, `shifted`, or later."""
    milliseconds = (made - _EPOCH + shifted) // timedelta(milliseconds=1)
    kept = min(max(milliseconds, 0), _LAST_MILLISECOND)
    return f"{prefix}_{ULID(kept.to_bytes(6) + bytes(10))}"


def made_at(identifier: str) -> datetime | None:
    """When an identifier was made, in UTC, to the millisecond; None for a text that `new_id` did
    not make.
    """
    prefix, _, rest = identifier.partition("_")
    if prefix not in set(IdPrefix) or re.fullmatch(_ULID, rest) is None:
        return None
    return ULID.from_str(rest).datetime
