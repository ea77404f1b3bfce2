"""Tables on their way out, a chunk at a time: CSV for spreadsheets, HTML for people and printers.

CSV is RFC 4180 in UTF-8. A spreadsheet takes a cell for a formula that begins with `=`, `+`, `-`,
`@`, a tab or a line break, so a text that does gets an apostrophe before it (OWASP, CSV injection).
An amount is ours, made of digits, and stays a number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from recompense.domain.money import formatted

Format = Literal["csv", "html"]
MEDIA_TYPES: dict[str, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "html": "text/html; charset=utf-8",
}
ROWS_IN_A_CHUNK = 200
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money, in minor units."""

    minor: int
    currency: str

    def __str__(self) -> str:
        """In the currency's own decimals, without its name: `-12.34`."""
        return formatted(self.minor, self.currency).removesuffix(f" {self.currency}")


Cell = str | Amount | None
Row = Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """What is to be shown. `facts` are names and values that stand above the rows, in HTML only."""

    title: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[str]
    rows: AsyncIterator[Row]


def rendered(table: Table, form: Format) -> AsyncIterator[str]:
    """The table as text, in chunks of some rows. What fails on the way breaks it off: a table
    without its last line is not whole.
    """
    return _csv(table) if form == "csv" else _html(table)


async def _csv(table: Table) -> AsyncIterator[str]:
    yield _lines([table.columns])
    async for chunk in _chunks(table.rows, _lines):
        yield chunk


def _lines(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue()


def _plain(cell: Cell) -> str:
    if isinstance(cell, Amount):
        return str(cell)
    shown = cell or ""
    return f"'{shown}" if shown.lstrip(" ").startswith(_FORMULA) else shown


async def _html(table: Table) -> AsyncIterator[str]:
    title = escape(table.title)
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in table.facts)
    heads = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    yield (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1><dl>{facts}</dl>\n"
        f"<table><thead><tr>{heads}</tr></thead><tbody>\n"
    )
    async for chunk in _chunks(table.rows, _marked_up):
        yield chunk
    yield "</tbody></table></body></html>\n"


def _marked_up(rows: Iterable[Row]) -> str:
    return "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Amount):
        return f'<td class="amount">{cell}</td>'
    return f"<td>{escape(cell or '')}</td>"


async def _chunks(
    rows: AsyncIterator[Row], show: Callable[[Iterable[Row]], str]
) -> AsyncIterator[str]:
    waiting: list[Row] = []
    async for row in rows:
        waiting.append(row)
        if len(waiting) == ROWS_IN_A_CHUNK:
            yield show(waiting)
            waiting = []
    if waiting:
        yield show(waiting)


_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #111; }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1em; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: 12px; }
th, td { border-bottom: 1px solid #ccc; padding: 3px 6px; text-align: left; }
.amount { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead { display: table-header-group; } tr { break-inside: avoid; }
@media print { body { margin: 0; } @page { size: A4 landscape; margin: 1cm; } }
"""
