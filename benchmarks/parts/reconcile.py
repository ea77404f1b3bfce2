"""A long settlement report: kept, loaded and compared, against COPY of the same file."""

from __future__ import annotations

import asyncio
import csv
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import psycopg

from adapters.sandbox.report import read_report
from benchmarks.bench import OF_THE_BARS, Bench
from benchmarks.lab import open_lab
from recompense.contracts.reconciliation import SANDBOX_TERMS
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import matching, reconciling
from recompense.persistence.database import Database
from recompense.persistence.report_shelf import ReportShelf

DAY = date(2026, 11, 24)
WRITTEN_AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
PROVIDER, BANK = "sandbox", "main"
COLUMNS = (
    "line,operation,reference,effect_key,object_id,amount,fee,net,currency,effected_at,"
    "report_date,report_lines,written_at"
)
OPERATIONS = """
INSERT INTO operations (saga_id, kind, operation_id, payment_id, merchant_id, input, requested_by,
    attempt, attempt_state, saga_state)
SELECT 'capture/cap_' || i, 'capture', 'cap_' || i, 'pay_' || i, 'mer_demo', '{}', 'bench', 1,
    'recorded', 'done' FROM generate_series(1, %s) AS i
"""
EFFECTS = """
INSERT INTO journal (saga_id, step, attempt, leg, provider, operation_id, effect_key, call,
    call_digest, right_try, outcome_kind, outcome, final, booked, recorded_at, calls, created_at)
SELECT 'capture/cap_' || i, 'capture', 1, 1, 'sandbox', 'cap_' || i, 'cap_' || i || ':capture:1',
    '{"operation": "capture", "amount": 1000, "currency": "EUR"}', '', 1, 'approved',
    '{"kind": "approved", "reference": "ct"}', true, true, %(at)s, '[]', %(at)s
FROM generate_series(1, %(count)s) AS i
"""
RAW = """
CREATE TABLE raw_report (line int PRIMARY KEY, operation text, reference text, effect_key text,
    object_id text, amount bigint, fee bigint, net bigint, currency text, effected_at timestamptz,
    report_date date, report_lines int, written_at timestamptz)
"""
COPY_RAW = "COPY raw_report FROM STDIN WITH (FORMAT csv, HEADER true)"
MEGABYTE = 2**20
BLOCK = 2**20


@dataclass(frozen=True)
class Took:
    """Seconds of each step, and the most memory that the process of it took."""

    keep: float
    load: float
    compare: float
    bytes: int


async def measure(bench: Bench) -> None:
    """The whole of a reconciliation's work, as a ratio to COPY alone; and the memory it takes."""
    lines = bench.sizes.lines
    bench.told("starting PostgreSQL")
    async with open_lab(without=("temporal", "sandbox", "codec", "api", "workers")) as lab:
        with tempfile.TemporaryDirectory(prefix="recompense-bench-") as folder:
            report = Path(folder) / "report.csv"
            bench.told(f"{lines} effects, and a report about them")
            await asyncio.to_thread(_effects, lab.superuser_url(), lines)
            await asyncio.to_thread(_write, report, lines)
            bench.told("COPY alone")
            raw = await asyncio.to_thread(_copy, lab.superuser_url(), report)
            bench.told("keep, load, compare")
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                took = await asyncio.get_running_loop().run_in_executor(
                    pool, _reconciled, lab.stack.database_url, str(report), lines
                )
    note = f"keep {took.keep:.0f} s, load {took.load:.0f}, compare {took.compare:.0f}"
    whole = took.keep + took.load + took.compare
    note = f"{lines:,} lines; {note}; COPY {raw:.0f} s"
    smaller = lines < OF_THE_BARS.lines
    bench.note("reconcile.copy", whole / raw, note, smaller=smaller)
    bench.note("reconcile.memory", took.bytes / MEGABYTE, smaller=smaller)


def _effects(url: str, count: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(OPERATIONS, [count])
        at = WRITTEN_AT - timedelta(hours=1)
        connection.execute(EFFECTS, {"at": at, "count": count})
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE operations, journal")
        connection.execute("CHECKPOINT")


def _write(report: Path, count: int) -> None:
    """The report as the sandbox writes it: a hundredth of each capture is its fee."""
    whole = (DAY.isoformat(), count, WRITTEN_AT.isoformat())
    with report.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS.split(","))
        for number in range(1, count + 1):
            names = (f"cap_{number}", f"cap_{number}:capture:1", f"ct_{number}")
            money = (1_000, 10, 990, "EUR", "2026-11-24T10:00:00.000Z")
            writer.writerow((number, "capture", *names, *money, *whole))


def _copy(url: str, report: Path) -> float:
    with psycopg.connect(url) as connection:
        connection.execute(RAW)
        began = time.monotonic()
        with report.open("rb") as file, connection.cursor().copy(COPY_RAW) as copy:
            while block := file.read(BLOCK):
                copy.write(block)
        connection.commit()
        return time.monotonic() - began


def _reconciled(url: str, report: str, lines: int) -> Took:
    return asyncio.run(_reconcile(url, Path(report), lines))


async def _reconcile(url: str, report: Path, lines: int) -> Took:
    shelf, database = ReportShelf(url), Database(url, statement_timeout_seconds=600)
    times = [time.monotonic()]
    with report.open("rb") as file:
        report_id = shelf.keep(PROVIDER, DAY, file)
    times.append(time.monotonic())
    shelf.load(report_id, lambda chunks: read_report(chunks, DAY), look_back_days=35)
    times.append(time.monotonic())
    async with database.transaction() as session:
        given = await reconciling.begin(
            session,
            new_id(IdPrefix.RECONCILIATION),
            provider=PROVIDER,
            report_date=DAY,
            requested_by="bench",
        )
    async with database.transaction() as session:
        asked = matching.Comparison(given, report_id, SANDBOX_TERMS, BANK)
        compared = await matching.compare(session, asked)
    times.append(time.monotonic())
    await database.close()
    if (compared.lines, compared.matched) != (lines, lines):
        raise RuntimeError(f"{compared.matched} of {lines} lines have matched")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Took(times[1] - times[0], times[2] - times[1], times[3] - times[2], memory)
