"""Reads `pain.002`, the customer payment status report: group, payment information and transaction
status, each optional.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from adapters.sepa.amounts import minor_units
from adapters.sepa.reasons import DUPLICATES
from adapters.sepa.xml import below, only, text_at, text_of
from recompense.contracts.batches import BankNews, NewsKind

_KINDS = {
    "RJCT": NewsKind.REJECTED,
    "CANC": NewsKind.REJECTED,
    "ACSC": NewsKind.SETTLED,
    "ACCC": NewsKind.SETTLED,
}
"""Every other status, known or not, only says that the bank has it: it is not final."""


def news_in(report: etree._Element) -> Iterator[BankNews]:
    """What a whole report says. Raises `BankFileRefused`."""
    number = 0
    group = only(report, "OrgnlGrpInfAndSts")
    message = None if group is None else text_at(group, "OrgnlMsgId")
    levels = [] if group is None else [("GrpSts", group)]
    levels += [("PmtInfSts", payment) for payment in below(report, "OrgnlPmtInfAndSts")]
    for word, level in levels:
        kind, reason = _kind(text_at(level, word)), _reason(level)
        if message is not None and kind is not NewsKind.ACCEPTED:
            number += 1
            yield BankNews(
                number=number,
                kind=_unless_duplicate(kind, reason),
                batch_reference=message,
                reason=reason,
            )
    for transaction in _transactions(report):
        reference = text_at(transaction, "OrgnlEndToEndId")
        if reference is not None:
            number += 1
            yield _of_transaction(number, transaction, reference)


def _transactions(report: etree._Element) -> list[etree._Element]:
    """Beside the payment information in .02, below it since .03."""
    return [
        *below(report, "TxInfAndSts"),
        *below(report, "OrgnlPmtInfAndSts", "TxInfAndSts"),
    ]


def _of_transaction(number: int, transaction: etree._Element, reference: str) -> BankNews:
    reason = _reason(transaction)
    amount = only(transaction, "OrgnlTxRef", "Amt", "InstdAmt")
    currency = None if amount is None else amount.get("Ccy")
    return BankNews(
        number=number,
        kind=_unless_duplicate(_kind(text_at(transaction, "TxSts")), reason),
        reference=reference,
        amount=None if amount is None else minor_units(amount.text or "", currency or ""),
        currency=currency,
        reason=reason,
        bank_reference=text_at(transaction, "AcctSvcrRef"),
    )


def _kind(status: str | None) -> NewsKind:
    return _KINDS.get(status or "", NewsKind.ACCEPTED)


def _unless_duplicate(kind: NewsKind, reason: str | None) -> NewsKind:
    is_duplicate = kind is NewsKind.REJECTED and reason in DUPLICATES
    return NewsKind.UNCLEAR if is_duplicate else kind


def _reason(level: etree._Element) -> str | None:
    for where in ("StsRsnInf", "OrgnlPmtInfStsRsnInf"):
        for reason in (*below(level, where, "Rsn", "Cd"), *below(level, where, "Rsn", "Prtry")):
            code = text_of(reason)
            if code is not None:
                return code[:35]
    return None
