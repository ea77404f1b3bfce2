"""Settlement reports on the shelf: kept as they came, and loaded whole or not at all.

Both work on a connection of their own and in a thread of their own: a report may have a million
lines, and reading it must stop nobody else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import IO

import psycopg

from recompense.contracts.settlement import ReportEnd, ReportRefused, SettlementLine

CHUNK_BYTES = 1024 * 1024
_BATCH = 500
_FEW_LINES = 1_000
_MOST_LINES_PER_EFFECT = 10
_STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = '15min'"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))"
_NULL = r"\N"
_SPECIAL = re.compile(r"[\\\t\n\r\0\ud800-\udfff]")
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_COPY = """
COPY settlement_lines (report_id, number, kind, provider_reference, operation_id, effect_key,
    amount, fee, net, currency, effected_at) FROM STDIN
"""

ReadLines = Callable[[Iterable[bytes]], Iterator[SettlementLine | ReportEnd]]


@dataclass(frozen=True)
class Loaded:
    """A report whose lines are all there."""

    lines: int
    covers_until: datetime


class ReportShelf:
    """Where reports are kept."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def keep(self, provider: str, report_date: date, file: IO[bytes]) -> int:
        """Keep a report under its hash, and return its number. The same bytes are kept once."""
        hashed = hashlib.sha256()
        for chunk in _parts(file):
            hashed.update(chunk)
        digest, size = hashed.digest(), file.tell()
        with self._connected() as connection:
            # Two copies of this step may run at once.
            connection.execute(_ONE_AT_A_TIME, [f"keep/{provider}"])
            name = (provider, report_date, digest)
            kept = connection.execute(
                "SELECT id FROM settlement_reports"
                " WHERE provider = %s AND report_date = %s AND sha256 = %s",
                name,
            ).fetchone()
            if kept is not None:
                return int(kept[0])
            [[report_id]] = connection.execute(
                "INSERT INTO settlement_reports (provider, report_date, sha256, bytes)"
                " VALUES (%s, %s, %s, %s) RETURNING id",
                (*name, size),
            )
            for number, chunk in enumerate(_parts(file), start=1):
                connection.execute(
                    "INSERT INTO settlement_chunks (report_id, number, body) VALUES (%s, %s, %s)",
                    (report_id, number, chunk),
                )
        return int(report_id)

    def load(self, report_id: int, read: ReadLines, *, look_back_days: int | None = None) -> Loaded:
        """Read a kept report and load its lines, all of them or none; once.

        With `look_back_days` one of far more lines than we made effects in that time is refused: a
        file of somebody else. Raises `ReportRefused`.
        """
        with self._connected() as connection:
            connection.execute(_ONE_AT_A_TIME, [f"load/{report_id}"])
            loaded = _loaded(connection, report_id)
            if loaded is not None:
                return loaded
            _refuse_a_repeated_one(connection, report_id)
            loaded = self._copy(connection, report_id, read)
            if look_back_days is not None and loaded.lines > _FEW_LINES:
                _refuse_somebody_elses(connection, report_id, loaded, look_back_days)
            connection.execute(
                "INSERT INTO settlement_loads (report_id, lines, covers_until) VALUES (%s, %s, %s)",
                (report_id, loaded.lines, loaded.covers_until),
            )
        return loaded

    def chunks(self, report_id: int) -> Iterator[bytes]:
        """The bytes of a kept report as they came, a part at a time."""
        with self._connected() as connection:
            number = 0
            while True:
                number += 1
                found = connection.execute(
                    "SELECT body FROM settlement_chunks WHERE report_id = %s AND number = %s",
                    (report_id, number),
                ).fetchone()
                if found is None:
                    return
                yield found[0]

    def _copy(self, connection: psycopg.Connection, report_id: int, read: ReadLines) -> Loaded:
        [[report_date]] = connection.execute(
            "SELECT report_date FROM settlement_reports WHERE id = %s", [report_id]
        )
        lines, last = 0, 0
        covers_until = datetime.combine(report_date + timedelta(days=1), time(), UTC)
        batch: list[str] = []
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for line in read(self.chunks(report_id)):
                if isinstance(line, ReportEnd):
                    covers_until = line.covers_until
                    continue
                # An adapter passes over what is no settlement of ours: its number is not there.
                if line.number <= last:
                    message = f"Line {line.number} is out of its order."
                    raise ReportRefused("report_malformed", message)
                lines, last = lines + 1, line.number
                batch.append(_copied(report_id, line))
                if len(batch) == _BATCH:
                    copy.write("".join(batch))
                    batch.clear()
            copy.write("".join(batch))
        return Loaded(lines, covers_until)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """One transaction, committed when the block ends without an exception."""
        with psycopg.connect(self._url, application_name="recompense-reports") as connection:
            connection.execute(_STATEMENT_TIMEOUT)
            yield connection


def _refuse_somebody_elses(
    connection: psycopg.Connection, report_id: int, loaded: Loaded, look_back_days: int
) -> None:
    [[effects]] = connection.execute(
        "SELECT count(*) FROM journal JOIN settlement_reports r ON r.id = %s"
        " AND r.provider = journal.provider"
        " WHERE journal.created_at > %s::timestamptz - make_interval(days => %s)",
        (report_id, loaded.covers_until, look_back_days),
    )
    if loaded.lines > _MOST_LINES_PER_EFFECT * effects:
        message = f"The report has {loaded.lines} lines; we made {effects} effects in its time."
        raise ReportRefused("report_implausible", message)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    """The whole file, a part at a time."""
    file.seek(0)
    return iter(lambda: file.read(CHUNK_BYTES), b"")


def _copied(report_id: int, line: SettlementLine) -> str:
    """A line in COPY's text form: made here, for psycopg's own way takes as long as reading it."""
    effected_at = line.effected_at
    return (
        f"{report_id}\t{line.number}\t{line.kind.value}\t{_field(line.provider_reference)}\t"
        f"{_field(line.operation_id)}\t{_field(line.effect_key)}\t{line.amount}\t{line.fee}\t"
        f"{line.net}\t{line.currency}\t{effected_at.isoformat() if effected_at else _NULL}\n"
    )


def _field(text: str | None) -> str:
    if text is None:
        return _NULL
    if not _SPECIAL.search(text):
        return text
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise ReportRefused("report_malformed", "A line holds a character that is not text.")
    return text.translate(_ESCAPED)


def _loaded(connection: psycopg.Connection, report_id: int) -> Loaded | None:
    found = connection.execute(
        "SELECT lines, covers_until FROM settlement_loads WHERE report_id = %s", [report_id]
    ).fetchone()
    return None if found is None else Loaded(*found)


def _refuse_a_repeated_one(connection: psycopg.Connection, report_id: int) -> None:
    """The bytes of another date's report are that report once more; empty ones say nothing."""
    earlier = connection.execute(
        "SELECT other.report_date FROM settlement_reports report"
        " JOIN settlement_reports other ON other.provider = report.provider"
        "  AND other.sha256 = report.sha256 AND other.report_date <> report.report_date"
        " JOIN settlement_loads load ON load.report_id = other.id AND load.lines > 0"
        " WHERE report.id = %s LIMIT 1",
        [report_id],
    ).fetchone()
    if earlier is not None:
        message = f"The report is, byte for byte, the one of {earlier[0].isoformat()}."
        raise ReportRefused("report_repeated", message)
