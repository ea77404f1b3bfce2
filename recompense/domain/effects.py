"""Effect keys and the states of a business attempt: the words in which money moves once."""

from __future__ import annotations

import hashlib
from enum import StrEnum

EFFECT_KEY_MAX_LENGTH = 64
_FURTHER_LENGTH = 12


class AttemptState(StrEnum):
    """Where a business attempt stands. It only ever moves forward along `ATTEMPT_TRANSITIONS`."""

    OPEN = "open"
    RECORDED = "recorded"
    COMPENSATING = "compensating"
    CLOSED = "closed"


ATTEMPT_TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.OPEN: frozenset({AttemptState.RECORDED, AttemptState.COMPENSATING}),
    AttemptState.RECORDED: frozenset(),
    AttemptState.COMPENSATING: frozenset({AttemptState.CLOSED}),
    AttemptState.CLOSED: frozenset(),
}


def effect_key(operation_id: str, step: str, attempt: int, leg: int = 1) -> str:
    """Build the idempotency key that a provider sees: `<operation id>:<step>:<attempt>`.

    A later leg (the same step failed over to another provider) appends `.<leg>` to the step, so
    that each leg has a key of
    its own. The key is a pure function of what the database knows: a reset, a restart or another
    worker builds the same.

    Raises `ValueError` when the key would not be 64 visible ASCII characters or fewer.
    """
    named_step = step if leg == 1 else f"{step}.{leg}"
    key = f"{operation_id}:{named_step}:{attempt}"
    if len(key) > EFFECT_KEY_MAX_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            f"effect key {key!r} is not 1..{EFFECT_KEY_MAX_LENGTH} visible ASCII characters"
        )
    return key


def further_key(effect_key: str, about: str) -> str:
    """The idempotency key of a further call about an effect that was made under `effect_key`:
    `about` tells such calls apart.

    Raises `ValueError` when it would be longer than an effect key may be.
    """
    key = f"{effect_key}:{hashlib.sha256(about.encode()).hexdigest()[:_FURTHER_LENGTH]}"
    if len(key) > EFFECT_KEY_MAX_LENGTH:
        raise ValueError(f"further key {key!r} is longer than {EFFECT_KEY_MAX_LENGTH} characters")
    return key
