"""Rows of two stores in a form in which they can be compared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

LATER = datetime(2100, 1, 1, tzinfo=UTC)
EARLIER = datetime(2000, 1, 1, tzinfo=UTC)


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
