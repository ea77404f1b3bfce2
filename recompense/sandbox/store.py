"""The vendor's state: one SQLite file, one connection, used from the event loop's thread only.

A statement takes microseconds, so running it inline is cheaper than handing it to a thread, and one
thread means that two requests never interleave inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    id TEXT PRIMARY KEY, type TEXT NOT NULL, parent TEXT, reference TEXT NOT NULL,
    effect_key TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, decline_code TEXT, token TEXT, closed INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL, due_at REAL
);
CREATE INDEX IF NOT EXISTS objects_by_key ON objects (effect_key);
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (parent) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_due ON objects (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY, operation TEXT NOT NULL, reference TEXT NOT NULL,
    effect_key TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, at REAL NOT NULL,
    object_id TEXT NOT NULL, settled_on TEXT
);
CREATE INDEX IF NOT EXISTS effects_by_reference ON effects (reference);
CREATE INDEX IF NOT EXISTS effects_by_settlement ON effects (settled_on);
CREATE TABLE IF NOT EXISTS keys (
    effect_key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, object_id TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS faults (
    seq INTEGER PRIMARY KEY, operation TEXT NOT NULL, fault TEXT NOT NULL, times INTEGER NOT NULL,
    fired INTEGER NOT NULL, reference TEXT, delay_ms INTEGER
);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT NOT NULL, reference TEXT NOT NULL,
    body TEXT NOT NULL, mode TEXT NOT NULL, held INTEGER NOT NULL DEFAULT 0, due_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_due ON events (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, type TEXT NOT NULL, reference TEXT NOT NULL,
    mode TEXT NOT NULL, sent_at REAL NOT NULL, status_code INTEGER, headers TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS webhook_mode (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), mode TEXT NOT NULL, delay_ms INTEGER
);
CREATE TABLE IF NOT EXISTS settlements (date TEXT PRIMARY KEY, report TEXT NOT NULL);
"""


class Store:
    """Thin access to the file. Outside `transaction()` each statement commits by itself."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a killed process loses nothing that was committed; only a machine that loses power
        # could.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def execute(self, statement: str, *parameters: Any) -> None:  # noqa: ANN401 - SQLite's own types
        """Run one statement."""
        self._connection.execute(statement, parameters)

    def insert(self, table: str, **columns: Any) -> int:  # noqa: ANN401 - SQLite's own types
        """Insert one row; table and column names are the caller's own literals.

        Returns the row id.
        """
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - no outside text
            tuple(columns.values()),
        )
        return cursor.lastrowid or 0

    def rows(self, query: str, *parameters: Any) -> list[sqlite3.Row]:  # noqa: ANN401 - SQLite's own types
        """All rows of a query."""
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> sqlite3.Row | None:  # noqa: ANN401 - SQLite's own types
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self._connection.execute(query, parameters).fetchone()
        return found

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
