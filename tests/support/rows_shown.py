"""A store under test, and its rows in a form in which they can be compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from recompense.persistence.saga_tables import JournalRow
from recompense.persistence.work import Work

LATER = datetime(2100, 1, 1, tzinfo=UTC)
EARLIER = datetime(2000, 1, 1, tzinfo=UTC)


class TakenBack(Exception):
    """The script gives a transaction up."""


@dataclass
class Actor:
    """One store under test, and the rows that it has read in earlier transactions."""

    open: Callable[[], AbstractAsyncContextManager[Work]]
    read: dict[tuple[str, str], JournalRow] = field(default_factory=dict)


def shown(rows: list[Any]) -> list[dict[str, Any]]:
    """Rows in a comparable form: clocks differ, so that a time is there or is not."""
    shown = [
        {
            name: _clockless(getattr(row, name))
            for name in type(row).model_fields
            if name != "id" or isinstance(getattr(row, name), str)
        }
        for row in rows
    ]
    return sorted(shown, key=repr)


def _clockless(value: object) -> object:
    return "a time" if isinstance(value, datetime) and value not in {EARLIER, LATER} else value
