"""Effect keys and the states of a business attempt: the words in which money moves once."""

from __future__ import annotations

from enum import StrEnum

EFFECT_KEY_MAX_LENGTH = 64


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
