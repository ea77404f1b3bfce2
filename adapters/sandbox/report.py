"""The sandbox's settlement report: CSV in UTF-8, a header line, then one line for each effect.

Every line repeats of which date the report is, how many lines it has and when it was written: so a
part of a file, or another day's, is refused. Pure, and in memory that does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from datetime import date, datetime

from recompense.contracts.settlement import (
    ReportEnd,
    ReportRefused,
    SettlementKind,
    SettlementLine,
)
from recompense.domain.money import MAX_AMOUNT, known_currency

_COLUMNS = [
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
]
_KINDS = {
    "authorize": (SettlementKind.AUTHORIZATION, 0),
    "capture": (SettlementKind.CAPTURE, 1),
    "void": (SettlementKind.VOID, 0),
    "refund": (SettlementKind.REFUND, -1),
    "payout": (SettlementKind.PAYOUT, -1),
    "cancel_payout": (SettlementKind.PAYOUT_RETURN, 1),
}
"""What an operation is to us, and the sign of its amount in `net`."""

_LONGEST_LINE = 4096
_LONGEST_NAME = 64


def read_report(chunks: Iterable[bytes], report_date: date) -> Iterator[SettlementLine | ReportEnd]:
    """Read a report. Raises `ReportRefused`, perhaps after lines were read."""
    rows = csv.reader(_text_lines(chunks), strict=True)
    number, row, day = 0, None, report_date.isoformat()
    try:
        if next(rows, None) != _COLUMNS:
            raise _malformed("The header is not the one of a settlement report.")
        for number, row in enumerate(rows, start=1):
            yield _line(row, number, day)
    except csv.Error as error:
        raise _malformed(f"Line {number + 1} is not CSV.") from error
    if row is not None:
        if row[11] != str(number):
            message = f"The report says that it has {row[11][:20]} lines; it has {number}."
            raise ReportRefused("report_truncated", message)
        yield ReportEnd(covers_until=_moment(row[12], number))


def _text_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The file's lines, whatever chunks it came in."""
    rest = ""
    try:
        for text in codecs.iterdecode(chunks, "utf-8"):
            *lines, rest = (rest + text).split("\n")
            if len(rest) > _LONGEST_LINE:
                raise _malformed("The report holds a line without an end.")
            yield from lines
    except UnicodeDecodeError as error:
        raise ReportRefused("report_encoding", "The report is not text in UTF-8.") from error
    if rest:
        raise ReportRefused("report_truncated", "The report ends within a line.")


def _line(row: list[str], number: int, day: str) -> SettlementLine:
    if len(row) != len(_COLUMNS):
        raise _malformed(f"Line {number} has {len(row)} columns instead of {len(_COLUMNS)}.")
    if row[10] != day:
        message = f"Line {number} is of another date than {day}."
        raise ReportRefused("report_other_date", message)
    if row[0] != str(number):
        raise ReportRefused("report_truncated", f"Line {number} is not there: {row[0][:20]} is.")
    kind, sign = _kind(row[1], number)
    amount, fee, net = (_integer(text, number) for text in row[5:8])
    if amount < 0:
        raise _malformed(f"Line {number} has an amount below zero.")
    if net != sign * amount - fee:
        message = f"Line {number} does not add up: {amount} less {fee} is not {net}."
        raise ReportRefused("report_inconsistent", message)
    return SettlementLine(
        number=number,
        kind=kind,
        provider_reference=_name(row[4], number),
        operation_id=_name(row[2], number),
        effect_key=_name(row[3], number),
        amount=amount,
        fee=fee,
        net=net,
        currency=_currency(row[8], number),
        effected_at=_moment(row[9], number),
    )


def _kind(operation: str, number: int) -> tuple[SettlementKind, int]:
    try:
        return _KINDS[operation]
    except KeyError:
        raise _malformed(f"Line {number} is of a kind that is not documented.") from None


def _integer(text: str, number: int) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_AMOUNT))):
        raise _malformed(f"Line {number} has something else than minor units in an amount.")
    return int(text)


def _name(text: str, number: int) -> str:
    if not (0 < len(text) <= _LONGEST_NAME and text.isascii() and text.isprintable()):
        raise _malformed(f"Line {number} has a reference that is none.")
    return text


def _currency(code: str, number: int) -> str:
    try:
        return known_currency(code)
    except ValueError:
        raise _malformed(f"Line {number} is in no currency of ISO 4217.") from None


def _moment(text: str, number: int) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _malformed(f"Line {number} has a time that is none.") from None
    if moment.tzinfo is None:
        raise _malformed(f"Line {number} has a time without its zone.")
    return moment


def _malformed(message: str) -> ReportRefused:
    return ReportRefused("report_malformed", message)
