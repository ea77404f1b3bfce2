"""Any file that a bank leaves us: which message it is, and what it says."""

from __future__ import annotations

from lxml import etree

from adapters.sepa import camt, pain002
from adapters.sepa.xml import ends, message_of, name_of
from recompense.contracts.batches import BankFileRefused, BankNews


def news_in(content: bytes, iban: str) -> tuple[BankNews, ...]:
    """All that a file says about instructions of the account. Raises `BankFileRefused`."""
    if message_of([content]) == "pain.002":
        return tuple(pain002.news_in(_report(content)))
    return tuple(camt.news([content], iban))


def _report(content: bytes) -> etree._Element:
    root = None
    for _depth, element in ends([content]):
        root = element
    report = None if root is None else next(root.iterchildren(), None)
    if report is None or name_of(report) not in {"CstmrPmtStsRpt", "pain.002.001.02"}:
        raise BankFileRefused("file_malformed", "The file holds no status report.")
    return report
