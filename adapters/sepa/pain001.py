"""Writes `pain.001`, the customer credit transfer initiation: one payment information, one
transaction for each payout.

The bytes are a function of the batch and the configuration. Source: EPC132-08, SEPA Credit Transfer
Customer-to-PSP Implementation Guidelines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache

import holidays
from lxml import etree

from adapters.sepa.amounts import decimal_text
from adapters.sepa.config import Party, SepaConfig
from adapters.sepa.schemas import require_valid

_CURRENCY = "EUR"


@dataclass(frozen=True)
class Transfer:
    """One transaction of the file. `amount` in cents."""

    end_to_end_id: str
    amount: int
    payee: Party


@dataclass(frozen=True)
class Initiation:
    """What a file says."""

    message_id: str
    created_at: datetime
    transfers: Sequence[Transfer]


def written(initiation: Initiation, config: SepaConfig) -> bytes:
    """The file, valid under its public schema. Raises `InvariantBroken`."""
    message = f"pain.{config.pain_version}"
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{message}"
    document = etree.fromstring(f'<Document xmlns="{namespace}"/>')
    root = _Node(document).child("CstmrCdtTrfInitn")
    total = decimal_text(sum(one.amount for one in initiation.transfers), _CURRENCY)
    counts = (("NbOfTxs", str(len(initiation.transfers))), ("CtrlSum", total))
    _header(root, initiation, counts, config)
    _payment(root, initiation, counts, config)
    content = etree.tostring(document, xml_declaration=True, encoding="UTF-8")
    require_valid(content, message)
    return content


def execution_date(closed_at: datetime) -> date:
    """The first TARGET business day on or after the window's close, in UTC."""
    day = closed_at.astimezone(UTC).date()
    while day.weekday() >= 5 or day in _target_holidays(day.year):
        day += timedelta(days=1)
    return day


class _Node:
    """An element that grows children in its own namespace."""

    def __init__(self, element: etree._Element) -> None:
        self.element = element

    def child(self, *path: str, text: str | None = None, **attributes: str) -> _Node:
        """Append a path of elements; the last one holds the text."""
        found = self.element
        namespace = etree.QName(found).namespace
        for name in path:
            found = etree.SubElement(found, f"{{{namespace}}}{name}")
        found.text = text
        for name, value in attributes.items():
            found.set(name, value)
        return _Node(found)


def _header(
    root: _Node, initiation: Initiation, counts: Sequence[tuple[str, str]], config: SepaConfig
) -> None:
    header = root.child("GrpHdr")
    header.child("MsgId", text=initiation.message_id)
    created = initiation.created_at.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    header.child("CreDtTm", text=f"{created.isoformat()}Z")
    for name, value in counts:
        header.child(name, text=value)
    header.child("InitgPty", "Nm", text=config.debtor.name)


def _payment(
    root: _Node, initiation: Initiation, counts: Sequence[tuple[str, str]], config: SepaConfig
) -> None:
    payment = root.child("PmtInf")
    payment.child("PmtInfId", text=initiation.message_id)
    payment.child("PmtMtd", text="TRF")
    payment.child("BtchBookg", text="true" if config.batch_booking else "false")
    for name, value in counts:
        payment.child(name, text=value)
    payment.child("PmtTpInf", "SvcLvl", "Cd", text="SEPA")
    day = execution_date(initiation.created_at).isoformat()
    nests = _is_new(config)
    payment.child(*(("ReqdExctnDt", "Dt") if nests else ("ReqdExctnDt",)), text=day)
    payment.child("Dbtr", "Nm", text=config.debtor.name)
    payment.child("DbtrAcct", "Id", "IBAN", text=config.debtor.iban)
    agent = payment.child("DbtrAgt", "FinInstnId")
    if config.debtor.bic is None:
        agent.child("Othr", "Id", text="NOTPROVIDED")
    else:
        agent.child(_bic_name(config), text=config.debtor.bic)
    payment.child("ChrgBr", text="SLEV")
    for transfer in initiation.transfers:
        _transaction(payment, transfer, config)


def _transaction(payment: _Node, transfer: Transfer, config: SepaConfig) -> None:
    node = payment.child("CdtTrfTxInf")
    node.child("PmtId", "EndToEndId", text=transfer.end_to_end_id)
    amount = decimal_text(transfer.amount, _CURRENCY)
    node.child("Amt", "InstdAmt", text=amount, Ccy=_CURRENCY)
    if transfer.payee.bic is not None:
        node.child("CdtrAgt", "FinInstnId", _bic_name(config), text=transfer.payee.bic)
    node.child("Cdtr", "Nm", text=transfer.payee.name)
    node.child("CdtrAcct", "Id", "IBAN", text=transfer.payee.iban)


def _is_new(config: SepaConfig) -> bool:
    return config.pain_version == "001.001.09"


def _bic_name(config: SepaConfig) -> str:
    return "BICFI" if _is_new(config) else "BIC"


@cache
def _target_holidays(year: int) -> frozenset[date]:
    """Days on which TARGET is closed, which are the ECB's holidays."""
    return frozenset(holidays.financial_holidays("XECB", years=year))
