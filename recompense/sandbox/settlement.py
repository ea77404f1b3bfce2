"""The vendor's settlement reports: one CSV file for each date, of every effect that no earlier one
held.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from recompense.sandbox.rendering import moment
from recompense.sandbox.store import Store

COLUMNS = (
    "line",
    "operation",
    "reference",
    "effect_key",
    "object_id",
    "amount",
    "fee",
    "net",
    "currency",
    "effected_at",
    "report_date",
    "report_lines",
    "written_at",
)
_FEE_BASIS_POINTS = 100
_SIGN_OF_NET = {"capture": 1, "refund": -1, "payout": -1, "cancel_payout": 1}

Line = dict[str, Any]


class Corruption(StrEnum):
    """What is wrong with a report on purpose: a break in one of its lines, or the whole file."""

    MISSING = "missing"
    EXTRA = "extra"
    AMOUNT = "amount"
    CURRENCY = "currency"
    FEE = "fee"
    DUPLICATE = "duplicate"
    TRUNCATED = "truncated"
    OTHER_DATE = "other_date"
    SWOLLEN = "swollen"
    """Every line again and again: more than ten times as many, and more than a thousand."""


class NothingToCorrupt(Exception):
    """The report has no line that could be spoilt."""


class Settlement:
    """Writes and keeps the reports. Writing a date again replaces its report."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, date: str, corruption: Corruption | None) -> int:
        """Write the report of a date and return its number of lines.

        An effect that a `missing` break drops stays unreported, so that the next report holds it:
        late, as in life.
        """
        with self._store.transaction():
            query = "SELECT * FROM effects WHERE settled_on IS NULL OR settled_on = ? ORDER BY seq"
            lines = [_line(row) for row in self._store.rows(query, date)]
            if corruption is not None:
                lines = _corrupted(lines, corruption)
            self._store.execute("UPDATE effects SET settled_on = NULL WHERE settled_on = ?", date)
            for line in lines:
                self._store.execute(
                    "UPDATE effects SET settled_on = ? WHERE object_id = ?", date, line["object_id"]
                )
            self._store.execute(
                "INSERT OR REPLACE INTO settlements (date, report) VALUES (?, ?)",
                date,
                _WRITTEN.get(corruption, _as_csv)(lines, date),
            )
        return len(lines)

    def report(self, date: str) -> str | None:
        """The report of a date, or None when none was written."""
        row = self._store.row("SELECT report FROM settlements WHERE date = ?", date)
        return None if row is None else str(row["report"])


def _line(effect: Any) -> Line:  # noqa: ANN401 - a sqlite3 row
    fee = effect["amount"] * _FEE_BASIS_POINTS // 10_000 if effect["operation"] == "capture" else 0
    return {
        "operation": effect["operation"],
        "reference": effect["reference"],
        "effect_key": effect["effect_key"],
        "object_id": effect["object_id"],
        "amount": effect["amount"],
        "fee": fee,
        "net": _SIGN_OF_NET.get(effect["operation"], 0) * effect["amount"] - fee,
        "currency": effect["currency"],
        "effected_at": moment(effect["at"]),
    }


def _as_csv(lines: list[Line], date: str) -> str:
    """Every line says of which report it is, how many lines that has, and when it was written: so
    that a part of a file, or another day's, is not taken for the whole.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    whole = {
        "report_date": date,
        "report_lines": len(lines),
        "written_at": moment(time.time()),
    }
    for number, line in enumerate(lines, start=1):
        writer.writerow({"line": number, **line, **whole})
    return text.getvalue()


def _cut_off(lines: list[Line], date: str) -> str:
    """The first half of the file: a transfer that broke off."""
    whole = _as_csv(lines, date)
    return whole[: len(whole) // 2]


def _of_the_day_before(lines: list[Line], date: str) -> str:
    """A file that lies under another date than it is of."""
    day_before = datetime.fromisoformat(date) - timedelta(days=1)
    return _as_csv(lines, day_before.date().isoformat())


_WRITTEN: dict[Corruption | None, Callable[[list[Line], str], str]] = {
    Corruption.TRUNCATED: _cut_off,
    Corruption.OTHER_DATE: _of_the_day_before,
}


def _corrupted(lines: list[Line], corruption: Corruption) -> list[Line]:
    if not lines and corruption is not Corruption.EXTRA:
        raise NothingToCorrupt
    change = _CORRUPT.get(corruption)
    return lines if change is None else change(lines)


def _victim(lines: list[Line]) -> int:
    """The line to spoil: a capture where there is one, because it carries amount, fee and net."""
    captures = [position for position, line in enumerate(lines) if line["operation"] == "capture"]
    return captures[0] if captures else 0


def _missing(lines: list[Line]) -> list[Line]:
    victim = _victim(lines)
    return [*lines[:victim], *lines[victim + 1 :]]


def _extra(lines: list[Line]) -> list[Line]:
    stranger = {
        "operation": "capture",
        "reference": "cap_00000000000000000000000000",
        "effect_key": "cap_00000000000000000000000000:capture:1",
        "object_id": "ct_stranger",
        "amount": 1_234,
        "fee": 12,
        "net": 1_222,
        "currency": lines[0]["currency"] if lines else "EUR",
        "effected_at": lines[0]["effected_at"] if lines else "2000-01-01T00:00:00.000Z",
    }
    return [*lines, stranger]


def _changed(lines: list[Line], column: str) -> list[Line]:
    victim = _victim(lines)
    line = lines[victim]
    difference = 1 if column == "amount" else -1
    spoilt = {**line, column: line[column] + 1, "net": line["net"] + difference}
    return [*lines[:victim], spoilt, *lines[victim + 1 :]]


def _in_another_currency(lines: list[Line]) -> list[Line]:
    victim = _victim(lines)
    other = "USD" if lines[victim]["currency"] != "USD" else "EUR"
    return [*lines[:victim], {**lines[victim], "currency": other}, *lines[victim + 1 :]]


def _duplicate(lines: list[Line]) -> list[Line]:
    victim = _victim(lines)
    return [*lines[: victim + 1], lines[victim], *lines[victim + 1 :]]


_CORRUPT: dict[Corruption, Callable[[list[Line]], list[Line]]] = {
    Corruption.MISSING: _missing,
    Corruption.EXTRA: _extra,
    Corruption.AMOUNT: lambda lines: _changed(lines, "amount"),
    Corruption.CURRENCY: _in_another_currency,
    Corruption.FEE: lambda lines: _changed(lines, "fee"),
    Corruption.DUPLICATE: _duplicate,
    Corruption.SWOLLEN: lambda lines: lines * max(11, 1_000 // len(lines) + 1),
}
