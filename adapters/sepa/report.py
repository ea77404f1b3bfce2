"""A `camt.053` statement as a settlement report: each booking of our account is a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time

from adapters.sepa.camt import Read, entries
from adapters.sepa.entries import Detail, Entry
from adapters.sepa.xml import message_of
from recompense.contracts.batches import BankFileRefused
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine

_CODES = {
    "file_encoding": "report_encoding",
    "file_inconsistent": "report_inconsistent",
    "file_too_large": "report_malformed",
}


def lines(chunks: Iterable[bytes], report_date: date, iban: str) -> Iterator[SettlementLine]:
    """Read a statement as a stream. Raises `ReportRefused`; what was yielded before counts for
    nothing then.
    """
    number = 0
    try:
        for read in entries(chunks):
            if read.iban not in (None, iban):
                continue
            if read.day not in (None, report_date):
                raise ReportRefused(
                    "report_other_date", f"The statement is of {read.day}, not of {report_date}."
                )
            if read.entry.is_booked:
                for line in _lines_of(read, number):
                    number = line.number
                    yield line
    except BankFileRefused as refused:
        code = _CODES.get(refused.code, "report_malformed")
        raise ReportRefused(code, str(refused)) from refused


def is_statement_of(content: bytes, report_date: date, iban: str) -> bool:
    """Whether a file holds our account's statement of a date. What cannot be read does not."""
    try:
        if message_of([content]) != "camt.053":
            return False
        return any(
            read.day == report_date and read.iban in (None, iban) for read in entries([content])
        )
    except BankFileRefused:
        return False


def _lines_of(read: Read, number: int) -> Iterator[SettlementLine]:
    """A line for each transaction that tells its amount in the entry's currency; else one line for
    the whole entry.
    """
    entry = read.entry
    splits = bool(entry.details) and all(
        detail.money is not None and detail.money.currency == entry.money.currency
        for detail in entry.details
    )
    whole = Detail(None, None, entry.money, entry.is_credit, None, None, entry.bank_reference)
    for detail in entry.details if splits else (whole,):
        number += 1
        yield _line(number, entry, detail)


def _line(number: int, entry: Entry, detail: Detail) -> SettlementLine:
    money = detail.money or entry.money
    day = entry.booked_on
    return SettlementLine(
        number=number,
        kind=_kind(entry, detail),
        provider_reference=detail.end_to_end_id or detail.message_id or detail.bank_reference,
        amount=money.amount,
        net=money.amount if detail.is_credit else -money.amount,
        currency=money.currency,
        effected_at=None if day is None else datetime.combine(day, time(), UTC),
    )


def _kind(entry: Entry, detail: Detail) -> SettlementKind:
    if detail.end_to_end_id is None and detail.message_id is None:
        return SettlementKind.OTHER
    if detail.is_credit:
        is_return = entry.is_reversal or detail.reason is not None
        return SettlementKind.PAYOUT_RETURN if is_return else SettlementKind.OTHER
    return SettlementKind.OTHER if entry.is_reversal else SettlementKind.PAYOUT
