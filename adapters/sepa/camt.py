"""Reads `camt.053` statements and `camt.054` notifications, versions 02 to 08 and later ones that
keep their shape: entry by entry, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from lxml import etree

from adapters.sepa.amounts import minor_units
from adapters.sepa.entries import Entry, count_at, day_at, entry_of, is_credit_of
from adapters.sepa.xml import below, ends, name_of, only, text_at
from recompense.contracts.batches import BankFileRefused, BankNews, NewsKind

STATEMENTS = {"Stmt", "Ntfctn"}
_BALANCES = {"OPBD", "PRCD", "CLBD"}
_STATEMENT_DEPTH = 3


@dataclass
class _Statement:
    """What a statement says of itself, and what its entries add up to."""

    iban: str | None = None
    day: date | None = None
    opening: int | None = None
    closing: int | None = None
    currency: str | None = None
    told_entries: int | None = None
    told_sum: str | None = None
    entries: int = 0
    booked: int = 0
    turned_over: int = 0
    currencies: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        """Count an entry."""
        self.entries += 1
        self.turned_over += entry.money.amount
        self.currencies.add(entry.money.currency)
        if entry.is_booked:
            self.booked += entry.money.amount if entry.is_credit else -entry.money.amount

    def check(self) -> None:
        """What it says of itself has to be what was read. Raises `BankFileRefused`."""
        if self.told_entries not in (None, self.entries):
            raise BankFileRefused(
                "file_inconsistent", "A statement counts other entries than it holds."
            )
        if len(self.currencies) > 1:
            return
        currency = next(iter(self.currencies), self.currency)
        if self.told_sum is not None and currency is not None:
            told = minor_units(self.told_sum, currency)
            if told != self.turned_over:
                raise BankFileRefused(
                    "file_inconsistent", "A statement's entries do not add up to its sum."
                )
        if self.opening is None or self.closing is None or currency != self.currency:
            return
        if self.opening + self.booked != self.closing:
            raise BankFileRefused(
                "file_inconsistent", "A statement's entries do not lead to its closing balance."
            )


@dataclass(frozen=True)
class Read:
    """An entry, and the account and day of the statement it stands in."""

    entry: Entry
    iban: str | None
    day: date | None


def entries(chunks: Iterable[bytes]) -> Iterator[Read]:
    """All entries of all statements, in order. Whoever takes them takes all or none: a statement
    that contradicts itself is refused when it has ended. Raises `BankFileRefused`.
    """
    statement, seen, last = _Statement(), False, 0
    for depth, element in ends(chunks):
        last = depth
        parent = element.getparent()
        if depth == _STATEMENT_DEPTH and name_of(element) in STATEMENTS:
            statement.check()
            statement, seen = _Statement(), True
            _let_go(element)
        elif parent is None or depth != _STATEMENT_DEPTH + 1 or name_of(parent) not in STATEMENTS:
            continue
        elif name_of(element) == "Ntry":
            entry = entry_of(element)
            statement.take(entry)
            yield Read(entry, statement.iban, statement.day)
            _let_go(element)
        else:
            _note(statement, element)
    if last != 1 or not seen:
        raise BankFileRefused("file_malformed", "The file holds no statement.")


def news(chunks: Iterable[bytes], iban: str) -> Iterator[BankNews]:
    """What the statements of our account say about instructions. Raises `BankFileRefused`."""
    number = 0
    for read in entries(chunks):
        if read.iban not in (None, iban) or not read.entry.is_booked:
            continue
        for detail in read.entry.details:
            if detail.end_to_end_id is None and detail.message_id is None:
                continue
            number += 1
            money = detail.money
            yield BankNews(
                number=number,
                kind=_kind(read.entry, is_credit=detail.is_credit),
                reference=detail.end_to_end_id,
                batch_reference=detail.message_id,
                amount=None if money is None else money.amount,
                currency=None if money is None else money.currency,
                items=detail.items,
                reason=detail.reason,
                bank_reference=detail.bank_reference or read.entry.bank_reference,
                booked_on=read.entry.booked_on,
            )


def _kind(entry: Entry, *, is_credit: bool) -> NewsKind:
    if is_credit:
        return NewsKind.RETURNED
    # A reversal that takes money from us takes a credit back, as a return of a return: not ours to
    # read.
    return NewsKind.UNCLEAR if entry.is_reversal else NewsKind.BOOKED


def _note(statement: _Statement, element: etree._Element) -> None:
    match name_of(element):
        case "Acct":
            statement.iban = text_at(element, "Id", "IBAN")
        case "CreDtTm":
            statement.day = statement.day or _day(element.text)
        case "FrToDt":
            statement.day = _day(text_at(element, "ToDtTm")) or statement.day
        case "Bal":
            _note_balance(statement, element)
        case "TxsSummry":
            statement.told_entries = count_at(element, "TtlNtries", "NbOfNtries")
            statement.told_sum = text_at(element, "TtlNtries", "Sum")
        case _:
            pass


def _note_balance(statement: _Statement, element: etree._Element) -> None:
    code = text_at(element, "Tp", "CdOrPrtry", "Cd")
    if code not in _BALANCES or below(element, "Tp", "SubTp"):
        return
    amount = only(element, "Amt")
    if amount is None:
        raise BankFileRefused("file_malformed", "A balance has no amount.")
    currency = amount.get("Ccy") or ""
    units = minor_units(amount.text or "", currency)
    signed = units if is_credit_of(element) else -units
    statement.currency = currency
    if code == "CLBD":
        statement.closing = signed
        statement.day = day_at(element, "Dt") or statement.day
    elif code == "OPBD" or statement.opening is None:
        statement.opening = signed


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def _let_go(element: etree._Element) -> None:
    """Free what has been read: the element, and its elder siblings."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
