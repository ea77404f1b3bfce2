"""The store in dictionaries: transactions, savepoints, unique keys and the CHECKs that guard money.

One transaction runs at a time and whole: what PostgreSQL's row locks order, is ordered here by
running nothing else. `tests/database/test_memory_store.py` holds it against `SqlWork`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

from sqlmodel import SQLModel

from recompense.ledger.postings import Posting
from recompense.persistence.work import Key, Row
from tests.simulation.constraints import check, claim, columns, give_back, refused
from tests.simulation.simulated_book import Mark, SimulatedBook

Values = dict[str, Any]
WATCHED = {
    "payments": ("status",),
    "captures": ("status",),
    "refunds": ("status",),
    "payouts": ("status",),
    "voids": ("status",),
    "operations": ("attempt", "attempt_state", "saga_state"),
    "journal": ("outcome_kind", "final", "booked"),
    "orphans": ("status",),
    "payout_runs": ("status",),
    "payout_run_items": ("state",),
}
"""The columns whose every committed change is kept, for the invariants about transitions."""


@dataclass(frozen=True)
class Change:
    """A committed change of a watched row: its values before (None: it was made) and after, and
    the number of the commit that made it.
    """

    table: str
    key: tuple[Any, ...]
    before: tuple[Any, ...] | None
    after: tuple[Any, ...]
    commit: int


class Tables:
    """All rows, what is taken of unique keys, the ledger, and every watched change."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.clock_now = now
        self.tables: dict[type[SQLModel], dict[tuple[Any, ...], SQLModel]] = {}
        self.taken: dict[tuple[Any, ...], SQLModel] = {}
        self.book = SimulatedBook()
        self.changes: list[Change] = []
        self.commits = 0
        self.numbers = 0

    def rows(self, table: type[Row]) -> list[Row]:
        """All committed rows, oldest first."""
        return [row for row in self.tables.get(table, {}).values() if isinstance(row, table)]

    def next_number(self) -> int:
        """An identity column's next value."""
        self.numbers += 1
        return self.numbers


@dataclass
class _Savepoint:
    """What a savepoint goes back to."""

    work: MemoryRows
    rows: dict[tuple[Any, ...], Values] = field(default_factory=dict)
    mark: Mark | None = None

    async def __aenter__(self) -> None:
        work = self.work
        work.write()
        self.rows = {where: _values(row) for where, (row, _) in work.touched.items()}
        self.mark = work.store.book.mark()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.work.write()
            return
        self.work.back_to(self.rows)
        if self.mark is not None:
            self.work.store.book.back_to(self.mark)


class MemoryRows:
    """One transaction over the dictionaries: its rows, and how it ends."""

    def __init__(self, store: Tables) -> None:
        self.store = store
        self.touched: dict[tuple[Any, ...], tuple[SQLModel, Values | None]] = {}
        self._new: list[SQLModel] = []
        self._mark: Mark | None = None

    # Rows

    @property
    def clock(self) -> datetime:
        """The virtual clock."""
        return self.store.clock_now()

    async def now(self) -> datetime:
        """The virtual clock."""
        return self.store.clock_now()

    async def get(self, table: type[Row], key: Key, *, lock: bool = False) -> Row | None:
        """A row by its primary key."""
        self._write_new()
        return self.found(table, key if isinstance(key, tuple) else (key,))

    def found(self, table: type[Row], key: tuple[Any, ...]) -> Row | None:
        """A committed or written row."""
        row = self.store.tables.get(table, {}).get(key)
        return self._touch(row, key) if isinstance(row, table) else None

    def _touch(self, row: Row, key: tuple[Any, ...]) -> Row:
        where = (type(row), *key)
        if where not in self.touched:
            self.touched[where] = (row, _values(row))
        return row

    def all(self, table: type[Row], *conditions: Callable[[Row], bool]) -> list[Row]:
        """All rows of which every condition holds, oldest first."""
        self._write_new()
        found = [
            (key, row)
            for key, row in self.store.tables.get(table, {}).items()
            if isinstance(row, table) and all(holds(row) for holds in conditions)
        ]
        return [self._touch(row, key) for key, row in found]

    def add(self, row: SQLModel) -> None:
        """Insert a row at the next flush."""
        self._new.append(row)

    async def flush(self) -> None:
        """Write what changed."""
        self.write()

    def savepoint(self) -> _Savepoint:
        """A part that may be taken back."""
        return _Savepoint(self)

    async def post(self, posting: Posting) -> None:
        """Write a posting once."""
        if self._mark is None:
            self._mark = self.store.book.mark()
        self.store.book.post(posting)

    # How a transaction ends

    def write(self) -> None:
        """Insert what is new, set what the database sets, and check what it checks."""
        self._write_new()
        for row, before in self.touched.values():
            if before is not None and _values(row) != before:
                if hasattr(row, "updated_at"):
                    row.updated_at = self.clock
                claim(self.store.taken, row, before)
                check(row)

    def _write_new(self) -> None:
        while self._new:
            self._insert(self._new.pop(0))

    def _insert(self, row: SQLModel) -> None:
        described = columns(type(row))
        for name in described.moments:
            if getattr(row, name) is None:
                setattr(row, name, self.clock)
        if described.identity is not None:
            setattr(row, described.identity, self.store.next_number())
        key = tuple(getattr(row, name) for name in described.key)
        where = (type(row), *key)
        if where in self.store.taken:
            raise refused(f"{row.__tablename__}_pkey")
        claim(self.store.taken, row, None)
        check(row)
        self.store.taken[where] = row
        self.store.tables.setdefault(type(row), {})[key] = row
        self.touched[where] = (row, None)

    def back_to(self, rows: Mapping[tuple[Any, ...], Values]) -> None:
        """Back to a savepoint: what it knew as it was there, the rest as before the transaction."""
        self._new.clear()
        for where, (row, before) in list(self.touched.items()):
            give_back(self.store.taken, row)
            if where in rows:
                _restore(row, rows[where])
                claim(self.store.taken, row, None)
            elif before is not None:
                _restore(row, before)
                claim(self.store.taken, row, None)
            else:
                self._remove(where)

    def roll_back(self) -> None:
        """Nothing of this transaction stays."""
        self.back_to({})
        if self._mark is not None:
            self.store.book.back_to(self._mark)

    def _remove(self, where: tuple[Any, ...]) -> None:
        self.store.tables[where[0]].pop(where[1:], None)
        self.store.taken.pop(where, None)
        del self.touched[where]

    def commit(self) -> None:
        """Keep what changed, and say so."""
        self.store.commits = number = self.store.commits + 1
        for where, (row, before) in self.touched.items():
            name = row.__tablename__
            watched = WATCHED.get(str(name))
            if watched is None:
                continue
            was = None if before is None else tuple(before.get(column) for column in watched)
            now = tuple(getattr(row, column) for column in watched)
            if was != now:
                self.store.changes.append(Change(str(name), where[1:], was, now, number))


def _values(row: SQLModel) -> Values:
    return {name: value for name, value in row.__dict__.items() if name[0] != "_"}


def _restore(row: SQLModel, values: Values) -> None:
    state = row.__dict__["_sa_instance_state"]
    row.__dict__.clear()
    row.__dict__.update(values, _sa_instance_state=state)
