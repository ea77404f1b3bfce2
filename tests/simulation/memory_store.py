"""The store in dictionaries: where transactions come from, and who wants to know of commits.

One transaction runs at a time and whole: what PostgreSQL's row locks order, is ordered here by
running nothing else. `tests/database/test_memory_store.py` holds it against `SqlWork`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType

from sqlmodel import SQLModel

from tests.simulation.memory_rows import Tables
from tests.simulation.memory_work import MemoryWork


class MemoryStore(Tables):
    """`Store` over dictionaries."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing

    def work(self) -> _Transaction:
        """Open a transaction."""
        return _Transaction(self)

    def put(self, row: SQLModel) -> None:
        """Set the scene: a row that is there from the beginning."""
        work = MemoryWork(self)
        work.add(row)
        work.write()
        work.commit()


class _Transaction:
    """`Database.work()`: commit at the end, roll back on an exception."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._work = MemoryWork(store)

    async def __aenter__(self) -> MemoryWork:
        return self._work

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._work.roll_back()
            return
        try:
            self._work.write()
            self._store.before_commit()
        except BaseException:
            self._work.roll_back()
            raise
        self._work.commit()
        self._store.after_commit()


def _nothing() -> None:
    """Nobody wants to know."""
