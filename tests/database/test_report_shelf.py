"""A report is kept as it came, and loaded whole or not at all."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta

import psycopg
import pytest

from adapters.sandbox.report import read_report
from recompense.contracts.settlement import (
    ReportEnd,
    ReportRefused,
    SettlementKind,
    SettlementLine,
)
from recompense.persistence.report_shelf import CHUNK_BYTES, ReportShelf
from tests.support.settling import DAY, NOON, effect_line, report_of

LINES = [effect_line(number) for number in range(1, 51)]


def read(chunks: Iterable[bytes]) -> Iterator[SettlementLine | ReportEnd]:
    return read_report(chunks, DAY)


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        [[found]] = connection.execute(f"SELECT count(*) FROM {table}".encode())  # noqa: S608
        return int(found)


def keep(shelf: ReportShelf, raw: bytes) -> int:
    return shelf.keep("sandbox", DAY, io.BytesIO(raw))


def test_report_is_kept_once_as_it_came(database_url: str) -> None:
    shelf = ReportShelf(database_url)
    raw = b"x" * (2 * CHUNK_BYTES + 3)
    report_id = keep(shelf, raw)
    assert keep(shelf, raw) == report_id
    assert b"".join(shelf.chunks(report_id)) == raw
    assert count(database_url, "settlement_chunks") == 3
    assert keep(shelf, b"another") != report_id


def test_report_is_loaded_once_with_what_it_covers(database_url: str) -> None:
    shelf = ReportShelf(database_url)
    report_id = keep(shelf, report_of(LINES))
    for _ in range(2):
        loaded = shelf.load(report_id, read)
        assert (loaded.lines, loaded.covers_until) == (50, NOON)
    assert count(database_url, "settlement_lines") == 50


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (report_of(LINES)[:-100], "report_truncated"),
        (report_of(LINES).decode().encode("utf-16"), "report_encoding"),
        (report_of(LINES) + b"<html>", "report_truncated"),
        (report_of(LINES, DAY - timedelta(days=1)), "report_other_date"),
        (report_of([*LINES, effect_line(9, currency="XXX")]), "report_malformed"),
        (report_of([*LINES, effect_line(9, net=5)]), "report_inconsistent"),
    ],
)
def test_bad_report_leaves_nothing_but_itself(database_url: str, raw: bytes, code: str) -> None:
    shelf = ReportShelf(database_url)
    report_id = keep(shelf, raw)
    with pytest.raises(ReportRefused) as refused:
        shelf.load(report_id, read)
    assert refused.value.code == code
    assert (count(database_url, "settlement_lines"), count(database_url, "settlement_loads")) == (
        0,
        0,
    )
    assert b"".join(shelf.chunks(report_id)) == raw


def test_numbers_of_lines_that_were_passed_over_are_not_there(database_url: str) -> None:
    shelf = ReportShelf(database_url)
    lines = [named("x").model_copy(update={"number": number}) for number in (2, 5)]
    assert shelf.load(keep(shelf, b"any"), lambda _: iter(lines)).lines == 2
    with pytest.raises(ReportRefused) as refused:
        shelf.load(keep(shelf, b"other"), lambda _: reversed(lines))
    assert refused.value.code == "report_malformed"


def test_bytes_of_another_date_are_refused_as_repeated(database_url: str) -> None:
    def careless(chunks: Iterable[bytes]) -> Iterator[SettlementLine | ReportEnd]:
        return read_report(chunks, DAY)

    shelf = ReportShelf(database_url)
    raw = report_of(LINES)
    shelf.load(keep(shelf, raw), careless)
    other = shelf.keep("sandbox", DAY + timedelta(days=1), io.BytesIO(raw))
    with pytest.raises(ReportRefused) as refused:
        shelf.load(other, careless)
    assert refused.value.code == "report_repeated"


def test_report_of_far_more_lines_than_effects_is_refused(database_url: str) -> None:
    shelf = ReportShelf(database_url)
    lines = [effect_line(number) for number in range(1, 1_002)]
    report_id = keep(shelf, report_of(lines))
    with pytest.raises(ReportRefused) as refused:
        shelf.load(report_id, read, look_back_days=35)
    assert refused.value.code == "report_implausible"
    assert count(database_url, "settlement_lines") == 0


def test_two_copies_of_the_step_load_the_report_once(database_url: str) -> None:
    shelf = ReportShelf(database_url)
    report_id = keep(shelf, report_of(LINES))
    loaded: list[int] = []

    def load() -> None:
        loaded.append(shelf.load(report_id, read).lines)

    copies = [threading.Thread(target=load) for _ in range(4)]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()
    assert loaded == [50] * 4
    assert count(database_url, "settlement_lines") == 50


AWKWARD = "a\\b\tc\nd\re\\N,=cmd|' /C calc'!A0\u00e9"


def named(name: str | None) -> SettlementLine:
    return SettlementLine(
        number=1,
        kind=SettlementKind.OTHER,
        provider_reference=name,
        amount=0,
        net=0,
        currency="EUR",
    )


@pytest.mark.parametrize("name", [AWKWARD, "\\N", "", None])
def test_what_a_line_holds_is_stored_as_it_is(database_url: str, name: str | None) -> None:
    shelf = ReportShelf(database_url)
    report_id = keep(shelf, b"any")
    shelf.load(report_id, lambda _: iter([named(name)]))
    with psycopg.connect(database_url) as connection:
        [[stored]] = connection.execute("SELECT provider_reference FROM settlement_lines")
    assert stored == name


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_what_no_database_can_hold_is_refused(database_url: str, name: str) -> None:
    shelf = ReportShelf(database_url)
    line = SettlementLine.model_construct(**(dict(named("x")) | {"provider_reference": name}))
    with pytest.raises(ReportRefused):
        shelf.load(keep(shelf, b"any"), lambda _: iter([line]))
    assert count(database_url, "settlement_lines") == 0


@pytest.mark.parametrize(
    "table", ["settlement_reports", "settlement_chunks", "settlement_loads", "settlement_lines"]
)
def test_what_a_provider_reported_is_never_changed(database_url: str, table: str) -> None:
    shelf = ReportShelf(database_url)
    shelf.load(keep(shelf, report_of(LINES)), read)
    for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608
        with (
            psycopg.connect(database_url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
