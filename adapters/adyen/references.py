"""Our effect key as Adyen's `reference`: the one field of a notification that names an effect and
is signed.

A colon separates the signed fields, so the reference has none: `/` stands for it, and appears in no
effect key.
"""

from __future__ import annotations

import re

_EFFECT = re.compile(r"([a-z]{2,5}_[!-.0-9;-~]{1,40})/[!-.0-9;-~]{1,40}/[0-9]{1,9}", re.ASCII)


def reference_of(effect_key: str) -> str:
    """The reference of an effect. Injective. Raises `ValueError` for what is no effect key."""
    reference = effect_key.replace(":", "/")
    if "/" in effect_key or _EFFECT.fullmatch(reference) is None:
        raise ValueError(f"{effect_key!r} is not an effect key")
    return reference


def effect_key_in(reference: str | None) -> str | None:
    """The effect key that a reference stands for. None: it is not one of ours."""
    if reference is None or _EFFECT.fullmatch(reference) is None:
        return None
    return reference.replace("/", ":")


def operation_of(effect_key: str) -> str:
    """Our operation's id, which an effect key begins with."""
    return effect_key.partition(":")[0]
