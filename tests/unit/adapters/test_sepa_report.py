"""A statement as a settlement report: lines in our words, or refused whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.registry import build
from adapters.sepa.report import lines
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderPort
from recompense.contracts.settlement import ReportRefused, SettlementKind, SettlementLine
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from tests.support.bank_files import OUR_IBAN, Message, Ntry, Stmt, Tx

DAY = date(2026, 11, 27)


def read(*entries: Ntry, chunk: int = 50, **changes: Any) -> list[SettlementLine]:
    content = Message("053", 8, [Stmt(entries, **changes)]).content
    pieces = (content[start : start + chunk] for start in range(0, len(content), chunk))
    return list(lines(pieces, DAY, OUR_IBAN))


def test_bookings_become_lines_whatever_the_chunks() -> None:
    entries = (
        Ntry("30.00", transactions=[Tx("E1", "10.00"), Tx("E2", "20.00")]),
        Ntry("20.00", credit=True, transactions=[Tx("E2", "20.00", reason="AC04")]),
        Ntry("1.50"),
        Ntry("9.99", status="PDNG"),
        Ntry("5.00", batch=("M1", 3, None)),
    )
    for chunk in (1, 7, 10_000):
        told = [
            (line.number, line.kind, line.provider_reference, line.amount, line.net)
            for line in read(*entries, chunk=chunk)
        ]
        assert told == [
            (1, SettlementKind.PAYOUT, "E1", 1_000, -1_000),
            (2, SettlementKind.PAYOUT, "E2", 2_000, -2_000),
            (3, SettlementKind.PAYOUT_RETURN, "E2", 2_000, 2_000),
            (4, SettlementKind.OTHER, None, 150, -150),
            (5, SettlementKind.PAYOUT, "M1", 500, -500),
        ]


@pytest.mark.parametrize(
    ("entries", "changes", "code"),
    [
        ((Ntry("1.001"),), {}, "report_malformed"),
        ((Ntry("1.00"),), {"opening": "1.00", "closing": "1.00"}, "report_inconsistent"),
        ((Ntry("1.00"),), {"day": "2026-11-26"}, "report_other_date"),
    ],
)
def test_report_that_cannot_be_is_refused(
    entries: tuple[Ntry, ...], changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(ReportRefused) as refused:
        read(*entries, **changes)
    assert refused.value.code == code


def test_truncated_report_is_refused() -> None:
    content = Message("053", 8, [Stmt([Ntry("1.00")])]).content
    with pytest.raises(ReportRefused) as refused:
        list(lines([content[:-20]], DAY, OUR_IBAN))
    assert refused.value.code == "report_malformed"


def test_long_report_is_read_in_bounded_memory() -> None:
    content = Message("053", 8, [Stmt([Ntry("1.00", transactions=[Tx("E1", "1.00")])])]).content
    start, end = content.index(b"<Ntry>"), content.index(b"</Ntry>") + len(b"</Ntry>")
    entry = content[start:end].replace(b"</TxDtls>", b"<!-- " + b"x" * 100 + b" --></TxDtls>")
    entry = entry.replace(b"</Ntry>", b"<AddtlNtryInf>" + b"x" * 4_000 + b"</AddtlNtryInf></Ntry>")

    def pieces() -> Iterator[bytes]:
        yield content[:start]
        for _ in range(60):
            yield entry * 100
        yield content[end:]

    resident = [_resident_bytes() for _ in lines(pieces(), DAY, OUR_IBAN)]
    assert len(resident) == 6_000
    assert resident[-1] - resident[500] < 8 * 1024 * 1024


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def port(tmp_path: Path) -> ProviderPort:
    config = {
        "debtor": {"name": "Recompense GmbH", "iban": OUR_IBAN},
        "bank_tokens": {},
        "folder": str(tmp_path),
        "quiet_seconds": 0,
    }
    return build("sepa", config, transport=ObservedTransport(lambda _: None)).port


async def fetched(port: ProviderPort) -> bytes:
    return b"".join([chunk async for chunk in port.fetch_settlement_report(DAY)])


async def test_statement_of_the_day_is_found_where_it_waits_and_where_it_was_put(
    port: ProviderPort, tmp_path: Path
) -> None:
    with pytest.raises(ProviderUnavailable):
        await fetched(port)
    content = Message("053", 8, [Stmt([Ntry("1.00")])]).content
    other = Message("053", 8, [Stmt([Ntry("1.00")], day="2026-11-26")]).content
    advice = Message("054", 8, [Stmt([Ntry("1.00")])]).content
    for name, waits in (("a.xml", content), ("b.xml", other), ("c.xml", advice), ("d.xml", b"x")):
        (tmp_path / "in" / name).write_bytes(waits)
    assert await fetched(port) == content
    (tmp_path / "in" / "a.xml").rename(tmp_path / "archive" / "2026-11-28T060000.ab.a.xml")
    assert await fetched(port) == content
    (tmp_path / "in" / "again.xml").write_bytes(content)
    assert await fetched(port) == content
    (tmp_path / "in" / "e.xml").write_bytes(content.replace(b"1.00", b"2.00"))
    with pytest.raises(OutcomeUnknown):
        await fetched(port)
