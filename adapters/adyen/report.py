"""Adyen's settlement detail report (CSV) in our words: streamed, exact, whole or refused.

Source: Adyen's page "Settlement details report". Amounts are decimal texts of the currency's major
unit; the columns end with the currency that they count: (GC) gross, (NC) net.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from adapters.adyen.references import effect_key_in, operation_of
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine
from recompense.domain.money import exponent

_KINDS = {
    **dict.fromkeys(("Settled", "SettledInInstallments"), SettlementKind.CAPTURE),
    "Refunded": SettlementKind.REFUND,
    **dict.fromkeys(("Fee", "InvoiceDeduction", "PaymentCost", "MiscCosts"), SettlementKind.FEE),
    **dict.fromkeys(
        ("Chargeback", "SecondChargeback", "ChargebackReversed"), SettlementKind.DISPUTE
    ),
    "MerchantPayout": SettlementKind.PAYOUT,
}
"""What else there is, a person books: also what is taken back (`SettledReversed`,
`RefundedReversed`), for it moves the other way.
"""
_FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
_NEEDED = (
    "Merchant Account",
    "Psp Reference",
    "Merchant Reference",
    "Creation Date",
    "TimeZone",
    "Type",
    "Modification Reference",
    "Gross Currency",
    "Gross Debit (GC)",
    "Gross Credit (GC)",
    "Net Currency",
    "Net Debit (NC)",
    "Net Credit (NC)",
    "Modification Merchant Reference",
    "Batch Number",
    *_FEES,
)
_DECIMAL = re.compile(r"(-?)([0-9]{1,13})(?:\.([0-9]{1,6}))?", re.ASCII)
_MAXIMUM_LINE_LENGTH = 64 * 1024


def settlement_lines(chunks: Iterable[bytes], merchant_account: str) -> Iterator[SettlementLine]:
    """Read the report line by line. Lines of other merchant accounts are passed over, and Adyen's
    payouts to our own account: what they pay is booked when the lines that they sum up are settled.

    Raises `ReportRefused`: `report_encoding`, `report_malformed`, `report_truncated`,
    `report_inconsistent`.
    """
    rows = csv.reader(_lines(chunks), strict=True)
    try:
        header = next(rows, None)
        if header is None or not set(_NEEDED) <= set(header):
            raise ReportRefused(
                "report_malformed", "The report lacks a column that it should have."
            )
        for number, row in enumerate(rows, 1):
            if len(row) != len(header):
                raise ReportRefused("report_malformed", f"Line {number} has other columns.")
            values = dict(zip(header, row, strict=True))
            if values["Merchant Account"] != merchant_account:
                continue
            line = _line(number, values)
            if line.kind is not SettlementKind.PAYOUT:
                yield line
    except csv.Error as error:
        raise ReportRefused("report_malformed", "The report is no CSV.") from error


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines of text. A last line that does not end was cut off."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    try:
        for chunk in chunks:
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            if len(rest) > _MAXIMUM_LINE_LENGTH:
                raise ReportRefused("report_malformed", "A line is longer than any line.")
            yield from (f"{line}\n" for line in lines)
        rest += decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise ReportRefused("report_encoding", "The report is not UTF-8.") from error
    if rest:
        raise ReportRefused("report_truncated", "The last line of the report does not end.")


def _line(number: int, row: Mapping[str, str]) -> SettlementLine:
    kind = _KINDS.get(row["Type"], SettlementKind.OTHER)
    gross_currency, net_currency = _currency(row, "Gross Currency"), _currency(row, "Net Currency")
    currency = gross_currency or net_currency
    if currency is None:
        raise ReportRefused("report_malformed", f"Line {number} names no currency.")
    if gross_currency and net_currency and gross_currency != net_currency:
        raise ReportRefused(
            "report_inconsistent", f"Line {number} is settled in another currency than it was made."
        )
    net = _signed(row, "Net Credit (NC)", "Net Debit (NC)", currency)
    fee = sum(_minor(row[name], currency) for name in _FEES)
    gross = _signed(row, "Gross Credit (GC)", "Gross Debit (GC)", currency)
    if gross_currency is None or kind in (SettlementKind.FEE, SettlementKind.PAYOUT):
        gross, fee = net, 0
    if gross - fee != net:
        raise ReportRefused("report_inconsistent", f"Line {number} does not add up.")
    effect_key = effect_key_in(row["Modification Merchant Reference"]) or effect_key_in(
        row["Merchant Reference"]
    )
    try:
        return SettlementLine(
            number=number,
            kind=kind,
            provider_reference=row["Modification Reference"] or row["Psp Reference"] or None,
            operation_id=None if effect_key is None else operation_of(effect_key),
            effect_key=effect_key,
            amount=abs(gross),
            fee=fee,
            net=net,
            currency=currency,
            effected_at=_moment(number, row),
        )
    except ValidationError as error:
        raise ReportRefused("report_malformed", f"Line {number} is no settlement.") from error


def _currency(row: Mapping[str, str], name: str) -> str | None:
    code = row[name]
    if not code:
        return None
    try:
        exponent(code)
    except ValueError as error:
        raise ReportRefused("report_malformed", f"{name} is no currency.") from error
    return code


def _signed(row: Mapping[str, str], credit: str, debit: str, currency: str) -> int:
    """What came to us, less what went."""
    return _minor(row[credit], currency) - _minor(row[debit], currency)


def _minor(text: str, currency: str) -> int:
    """Minor units of ISO 4217 from a decimal text: exact, or refused."""
    if not text:
        return 0
    found = _DECIMAL.fullmatch(text)
    decimals = exponent(currency)
    if found is None:
        raise ReportRefused("report_malformed", "An amount is no decimal number.")
    sign, whole, part = found[1], found[2], found[3] or ""
    if part[decimals:].strip("0"):
        raise ReportRefused("report_malformed", "An amount has more decimals than its currency.")
    minor = int(whole + part[:decimals].ljust(decimals, "0"))
    return -minor if sign else minor


def _moment(number: int, row: Mapping[str, str]) -> datetime | None:
    """The report's own time zone is an abbreviation; only those that name a zone are read."""
    try:
        naive = datetime.strptime(row["Creation Date"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
        return naive.replace(tzinfo=ZoneInfo(row["TimeZone"]))
    except (ZoneInfoNotFoundError, OSError):
        return None
    except ValueError as error:
        raise ReportRefused("report_malformed", f"Line {number} has no date.") from error
