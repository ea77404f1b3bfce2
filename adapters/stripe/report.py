"""The settlement report, as it is kept and read: lines of JSON.

The first line names the date, the last one how many lines stand between, so that a cut report is
noticed. In between each line is a balance transaction with its source, as Stripe shows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from adapters.stripe.amounts import NotExpressible, from_stripe
from adapters.stripe.asked import EFFECT_KEY, OPERATION_ID
from adapters.stripe.shapes import Vendor
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine

_LONGEST_LINE_BYTES = 1024 * 1024
_KIND_OF_REPORT = "stripe_balance_transactions"

_KINDS = {
    "charge": SettlementKind.CAPTURE,
    "payment": SettlementKind.CAPTURE,
    "refund": SettlementKind.REFUND,
    "payment_refund": SettlementKind.REFUND,
    "payout": SettlementKind.PAYOUT,
    "transfer": SettlementKind.PAYOUT,
    "payout_cancel": SettlementKind.PAYOUT_RETURN,
    "payout_failure": SettlementKind.PAYOUT_RETURN,
    "payout_reversal": SettlementKind.PAYOUT_RETURN,
    "transfer_cancel": SettlementKind.PAYOUT_RETURN,
    "transfer_failure": SettlementKind.PAYOUT_RETURN,
    "transfer_refund": SettlementKind.PAYOUT_RETURN,
    "stripe_fee": SettlementKind.FEE,
    "stripe_fx_fee": SettlementKind.FEE,
    "tax_fee": SettlementKind.FEE,
}
_PAYOUTS = frozenset({SettlementKind.PAYOUT, SettlementKind.PAYOUT_RETURN})
_DISPUTES = frozenset({"dispute", "dispute_reversal"})
_ECHOES = frozenset({"refund", "payout", "transfer"})
"""Sources whose metadata name the line's own effect. A charge's name the authorization."""


class _Source(Vendor):
    id: str = Field(pattern=r"^[!-~]{1,255}$")
    object: str
    metadata: dict[str, str] | None = None


class _Transaction(Vendor):
    id: str = Field(pattern=r"^[!-~]{1,255}$")
    amount: int = Field(gt=-(2**63), lt=2**63)
    fee: int = Field(gt=-(2**63), lt=2**63)
    net: int = Field(gt=-(2**63), lt=2**63)
    currency: str = Field(pattern=r"^[a-z]{3}$")
    created: int = Field(gt=0, lt=2**36)
    type: str
    reporting_category: str | None = None
    source: _Source | str | None


class _Head(Vendor):
    report: str
    date: str


class _End(Vendor):
    lines: int = Field(ge=0)


_Shape = TypeVar("_Shape", bound=Vendor)


def report_head(report_date: date) -> bytes:
    """The first line of a report."""
    return report_line({"report": _KIND_OF_REPORT, "date": report_date.isoformat()})


def report_line(raw: dict[str, Any]) -> bytes:
    """One line; everything that Stripe said is kept."""
    return json.dumps(raw, separators=(",", ":")).encode() + b"\n"


def report_end(lines: int) -> bytes:
    """The last line of a report."""
    return report_line({"lines": lines})


def settlement_lines(chunks: Iterable[bytes], report_date: date) -> Iterator[SettlementLine]:
    """Read a report, whatever its size. Raises `ReportRefused`: then no line of it counts.

    Payouts that nobody asked for here are passed over, but for their fee: they pay us, and what
    they pay is booked when the lines that they sum up are settled.
    """
    lines = _lines(chunks)
    head = _read(next(lines, b""), _Head)
    if head.report != _KIND_OF_REPORT:
        raise ReportRefused("report_malformed", "This is no report of Stripe's balance.")
    if head.date != report_date.isoformat():
        raise ReportRefused("report_other_date", f"This is the report of {head.date}.")
    previous, number = next(lines, b""), 0
    for line in lines:
        number += 1
        made = _read(previous, _Transaction)
        read = _settlement_line(number, made, report_date)
        if not _pays_us(made):
            yield read
        elif read.fee:
            yield read.model_copy(update=_its_fee(read))
        previous = line
    if not previous.startswith(b'{"lines":'):
        raise ReportRefused("report_truncated", "The report has no end.")
    if _read(previous, _End).lines != number:
        raise ReportRefused("report_inconsistent", "The report counts other lines than it has.")


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            raise ReportRefused("report_malformed", "A line is longer than any line.")
        yield from whole
    if rest:
        raise ReportRefused("report_truncated", "The last line is cut.")


def _read(line: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return shape.model_validate_json(line.decode())
    except UnicodeDecodeError as error:
        raise ReportRefused("report_encoding", "The report is not UTF-8.") from error
    except ValidationError as error:
        raise ReportRefused("report_malformed", "A line has another shape.") from error


def _settlement_line(number: int, made: _Transaction, report_date: date) -> SettlementLine:
    effected_at = datetime.fromtimestamp(made.created, UTC)
    if effected_at.date() != report_date:
        raise ReportRefused("report_other_date", f"Line {number} is of another day.")
    if made.amount - made.fee != made.net:
        raise ReportRefused("report_inconsistent", f"Line {number} does not add up.")
    currency = made.currency.upper()
    source = made.source if isinstance(made.source, _Source) else None
    echoed = source.metadata if source is not None and source.object in _ECHOES else None
    ours = echoed or {}
    try:
        return SettlementLine(
            number=number,
            kind=_kind(made),
            provider_reference=source.id if source is not None else made.source or made.id,
            operation_id=ours.get(OPERATION_ID),
            effect_key=ours.get(EFFECT_KEY),
            amount=from_stripe(abs(made.amount), currency),
            fee=from_stripe(made.fee, currency),
            net=from_stripe(made.net, currency),
            currency=currency,
            effected_at=effected_at,
        )
    except (NotExpressible, ValueError) as error:
        message = f"Line {number} has an amount that is none of its currency."
        raise ReportRefused("report_inconsistent", message) from error


def _pays_us(made: _Transaction) -> bool:
    """Whether this is a payout to our own account, or one that came back: automatic, or asked for
    by hand. Those that we ask for name their effect.
    """
    source = made.source if isinstance(made.source, _Source) else None
    if source is None or source.object != "payout" or _kind(made) not in _PAYOUTS:
        return False
    return not {EFFECT_KEY, OPERATION_ID} & (source.metadata or {}).keys()


def _its_fee(line: SettlementLine) -> dict[str, Any]:
    kind = SettlementKind.FEE
    return {"kind": kind, "amount": abs(line.fee), "fee": 0, "net": -line.fee}


def _kind(made: _Transaction) -> SettlementKind:
    if made.reporting_category in _DISPUTES:
        return SettlementKind.DISPUTE
    return _KINDS.get(made.type, SettlementKind.OTHER)
