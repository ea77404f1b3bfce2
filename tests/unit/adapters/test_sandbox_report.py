"""The sandbox's settlement report: read whole, or refused with a stable code."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from adapters.sandbox.report import read_report
from recompense.contracts.settlement import (
    ReportEnd,
    ReportRefused,
    SettlementKind,
    SettlementLine,
)

DAY = date(2026, 11, 24)
HEADER = (
    "line,operation,reference,effect_key,object_id,amount,fee,net,currency,effected_at,"
    "report_date,report_lines,written_at\n"
)
FIRST = (
    "1,capture,cap_1,cap_1:capture:1,ct_1,700,7,693,EUR,2026-11-24T10:00:00.000Z,"
    "2026-11-24,2,2026-11-24T12:00:00.000Z\n"
)
SECOND = (
    "2,refund,ref_1,ref_1:refund:1,rf_1,200,0,-200,EUR,2026-11-24T11:00:00.000Z,"
    "2026-11-24,2,2026-11-24T12:00:00.000Z\n"
)
GOOD = HEADER + FIRST + SECOND


def read(text: str | bytes, size: int = 7) -> list[SettlementLine | ReportEnd]:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_report([raw[at : at + size] for at in range(0, len(raw), size)], DAY))


def test_report_is_read_line_by_line_whatever_its_chunks() -> None:
    capture, refund, end = read(GOOD)
    assert capture == SettlementLine(
        number=1,
        kind=SettlementKind.CAPTURE,
        provider_reference="ct_1",
        operation_id="cap_1",
        effect_key="cap_1:capture:1",
        amount=700,
        fee=7,
        net=693,
        currency="EUR",
        effected_at=datetime(2026, 11, 24, 10, tzinfo=UTC),
    )
    assert isinstance(refund, SettlementLine)
    assert (refund.kind, refund.net) == (SettlementKind.REFUND, -200)
    assert end == ReportEnd(covers_until=datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert read(GOOD, size=4096) == [capture, refund, end]


def test_empty_report_has_no_lines() -> None:
    assert read(HEADER) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "report_malformed"),
        ("<html>", "report_truncated"),
        (HEADER.replace("amount", "value"), "report_malformed"),
        (GOOD[:-40], "report_truncated"),
        (HEADER + FIRST, "report_truncated"),
        (HEADER + SECOND, "report_truncated"),
        (HEADER + FIRST + FIRST, "report_truncated"),
        (GOOD.replace("2026-11-24,2", "2026-11-23,2"), "report_other_date"),
        (GOOD.encode("utf-16"), "report_encoding"),
        (GOOD.replace("ct_1", "ct_\xe9").encode("latin-1"), "report_encoding"),
        (GOOD.replace("700", "7_00"), "report_malformed"),
        (GOOD.replace("700", "7e2"), "report_malformed"),
        (GOOD.replace("700", "-700"), "report_malformed"),
        (GOOD.replace("700", "9" * 40), "report_malformed"),
        (GOOD.replace("693", "692"), "report_inconsistent"),
        (GOOD.replace("EUR", "EUX"), "report_malformed"),
        (GOOD.replace("refund,", "rebate,"), "report_malformed"),
        (GOOD.replace("rf_1", ""), "report_malformed"),
        (GOOD.replace("2026-11-24T11", "yesterday"), "report_malformed"),
        (GOOD.replace("11:00:00.000Z", "11:00:00"), "report_malformed"),
        (HEADER + FIRST.replace("cap_1,", '"cap_1,', 1) + SECOND, "report_malformed"),
        (HEADER + "x" * 9000, "report_malformed"),
    ],
)
def test_bad_report_is_refused_with_its_code(text: str | bytes, code: str) -> None:
    with pytest.raises(ReportRefused) as refused:
        read(text)
    assert refused.value.code == code
