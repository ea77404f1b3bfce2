"""Our keys as the 35 characters that SEPA grants an identification, each by an injective map.

EPC guidelines let only Latin letters, digits and a few signs survive between banks: letters and
digits are all that is used here.
"""

from __future__ import annotations

import re

from recompense.domain.failures import InvariantBroken

_PAYOUT_KEY = re.compile(
    r"po_([0-7][0-9A-HJKMNP-TV-Z]{25}):payout(?:\.([1-9][0-9]?))?:([1-9][0-9]{0,4})", re.ASCII
)
_BATCH_ID = re.compile(r"sepa/([0-9]{8}T[0-9]{6}Z)", re.ASCII)


def end_to_end_id(effect_key: str) -> str:
    """The EndToEndId of a payout's effect: the operation's ULID, the attempt, and a later leg.

    Raises `InvariantBroken` for what is no payout's effect key.
    """
    found = _PAYOUT_KEY.fullmatch(effect_key)
    if found is None:
        raise InvariantBroken(f"{effect_key!r} is not the effect key of a payout")
    leg = f"L{found[2]}" if found[2] else ""
    return f"{found[1]}A{found[3]}{leg}"


def message_id(batch_id: str) -> str:
    """The MsgId of a batch's file. Raises `InvariantBroken` for what is no batch of this rail."""
    found = _BATCH_ID.fullmatch(batch_id)
    if found is None:
        raise InvariantBroken(f"{batch_id!r} is not a batch of this rail")
    return f"RCMP{found[1]}"


def file_name(batch_id: str) -> str:
    """The name of a batch's file."""
    return f"{message_id(batch_id)}.pain001.xml"
