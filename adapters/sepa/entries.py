"""One booked entry of a `camt` message and the transactions in it, whatever its version spells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lxml import etree

from adapters.sepa.amounts import minor_units
from adapters.sepa.xml import below, only, text_at
from recompense.contracts.batches import BankFileRefused
from recompense.domain.money import known_currency

_DIRECTIONS = {"CRDT": True, "DBIT": False}
_MOST_DIGITS = 15
_TRUTHS = {"true": True, "1": True, "false": False, "0": False, None: False}
_AMOUNTS = (("Amt",), ("AmtDtls", "TxAmt", "Amt"), ("AmtDtls", "InstdAmt", "Amt"))


@dataclass(frozen=True)
class Money:
    """Minor units of a currency, as the bank wrote them."""

    amount: int
    currency: str


@dataclass(frozen=True)
class Detail:
    """A transaction, or a batch, within an entry. `money` is None where the bank does not tell."""

    end_to_end_id: str | None
    message_id: str | None
    money: Money | None
    is_credit: bool
    items: int | None
    reason: str | None
    bank_reference: str | None


@dataclass(frozen=True)
class Entry:
    """A booking on the account. `is_credit` is its own direction; a reversal of a debit is a
    credit.
    """

    money: Money
    is_credit: bool
    is_reversal: bool
    is_booked: bool
    booked_on: date | None
    bank_reference: str | None
    details: Sequence[Detail]


def entry_of(element: etree._Element) -> Entry:
    """Read an entry. Raises `BankFileRefused` for one without an amount or a direction, and for
    one whose transactions add up to something else.
    """
    money = _money(element, "Amt")
    if money is None:
        raise BankFileRefused("file_malformed", "An entry has no amount.")
    entry = Entry(
        money=money,
        is_credit=is_credit_of(element),
        is_reversal=_truth(text_at(element, "RvslInd")),
        is_booked=(text_at(element, "Sts", "Cd") or text_at(element, "Sts")) == "BOOK",
        booked_on=day_at(element, "BookgDt"),
        bank_reference=text_at(element, "AcctSvcrRef"),
        details=tuple(_details(element, money)),
    )
    _check_sum(element, entry)
    return entry


def is_credit_of(element: etree._Element) -> bool:
    """Whether an entry, a transaction or a balance is a credit. Raises `BankFileRefused`."""
    word = text_at(element, "CdtDbtInd")
    if word not in _DIRECTIONS:
        raise BankFileRefused("file_malformed", "An amount is neither a credit nor a debit.")
    return _DIRECTIONS[word]


def count_at(element: etree._Element, *path: str) -> int | None:
    """A count (ISO 20022, Max15NumericText); None where there is none. Raises `BankFileRefused`."""
    text = text_at(element, *path)
    if text is None:
        return None
    if len(text) > _MOST_DIGITS or not (text.isascii() and text.isdigit()):
        raise BankFileRefused("file_malformed", "A count is none.")
    return int(text)


def day_at(element: etree._Element, *path: str) -> date | None:
    """The day of a date or a date and time; None where there is none.

    Raises `BankFileRefused` for what is no day.
    """
    text = text_at(element, *path, "Dt") or text_at(element, *path, "DtTm")
    if text is None:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise BankFileRefused("file_malformed", "A date is none.") from None


def _details(element: etree._Element, money: Money) -> list[Detail]:
    groups = below(element, "NtryDtls")
    transactions = below(element, "NtryDtls", "TxDtls") or below(element, "TxDtls")
    only = len(transactions) == 1
    found = [_detail(element, one, money if only else None) for one in transactions]
    for group in groups:
        batch = next(iter(below(group, "Btch")), None)
        if batch is not None and not below(group, "TxDtls"):
            found.append(_batch(element, batch, money if len(groups) == 1 else None))
    return found


def _detail(entry: etree._Element, element: etree._Element, whole: Money | None) -> Detail:
    stated = [money for path in _AMOUNTS if (money := _money(element, *path)) is not None]
    has_direction = bool(below(element, "CdtDbtInd"))
    return Detail(
        end_to_end_id=text_at(element, "Refs", "EndToEndId"),
        message_id=text_at(element, "Refs", "MsgId") or text_at(element, "Refs", "PmtInfId"),
        money=stated[0] if stated else whole,
        is_credit=is_credit_of(element if has_direction else entry),
        items=1,
        reason=_reason(element),
        bank_reference=text_at(element, "Refs", "AcctSvcrRef"),
    )


def _batch(entry: etree._Element, batch: etree._Element, whole: Money | None) -> Detail:
    has_direction = bool(below(batch, "CdtDbtInd"))
    return Detail(
        end_to_end_id=None,
        message_id=text_at(batch, "MsgId") or text_at(batch, "PmtInfId"),
        money=_money(batch, "TtlAmt") or whole,
        is_credit=is_credit_of(batch if has_direction else entry),
        items=count_at(batch, "NbOfTxs"),
        reason=None,
        bank_reference=text_at(entry, "AcctSvcrRef"),
    )


def _check_sum(element: etree._Element, entry: Entry) -> None:
    """Amounts that are all told in the entry's currency add up to it, unless charges are in it."""
    told = [detail.money for detail in entry.details]
    has_charges = any(True for _ in element.iter("{*}Chrgs"))
    if not told or has_charges or any(one is None for one in told):
        return
    if any(one is not None and one.currency != entry.money.currency for one in told):
        return
    total = sum(
        detail.money.amount if detail.is_credit == entry.is_credit else -detail.money.amount
        for detail in entry.details
        if detail.money is not None
    )
    if total != entry.money.amount:
        raise BankFileRefused(
            "file_inconsistent", "The transactions of an entry do not add up to it."
        )


def _money(element: etree._Element, *path: str) -> Money | None:
    found = only(element, *path)
    if found is None:
        return None
    currency = found.get("Ccy") or _account_currency(found)
    return Money(minor_units(found.text or "", currency), _known(currency))


def _account_currency(element: etree._Element) -> str:
    """Amounts of a statement always name their currency; a batch's total may leave it to its
    entry.
    """
    for above in element.iterancestors():
        stated = below(above, "Amt")
        if stated and stated[0].get("Ccy"):
            return str(stated[0].get("Ccy"))
    raise BankFileRefused("file_amount", "An amount names no currency.")


def _known(currency: str) -> str:
    try:
        return known_currency(currency)
    except ValueError:
        raise BankFileRefused("file_amount", "An amount is in no ISO 4217 currency.") from None


def _truth(text: str | None) -> bool:
    if text not in _TRUTHS:
        raise BankFileRefused("file_malformed", "An indicator is neither true nor false.")
    return _TRUTHS[text]


def _reason(element: etree._Element) -> str | None:
    reason = text_at(element, "RtrInf", "Rsn", "Cd") or text_at(element, "RtrInf", "Rsn", "Prtry")
    return None if reason is None else reason[:35]
