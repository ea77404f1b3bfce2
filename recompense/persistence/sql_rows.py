"""One transaction's rows: each read once, and what changed of them written together.

All that changed since the last write goes to PostgreSQL as one statement, for what an authorization
costs is its round trips. A row that this transaction has locked is not read again: nobody else can
change it. An ORM's session would write each row by a statement of its own, and spend more on each
than the server does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from recompense.domain.failures import InvariantBroken
from recompense.ledger.postings import Posting
from recompense.persistence import driver, ledger
from recompense.persistence.driver import Parameter, Values
from recompense.persistence.row_sql import (
    CLOCK,
    Shape,
    Write,
    inserted_unless_there,
    selected,
    selected_by_key,
    shape_of,
    written_together,
)
from recompense.persistence.work import Key, Row

Stored = dict[str, Any]
Where = tuple[Any, ...]
"""A table and the parts of a primary key."""

_CLOCK = cast(datetime, object())


@dataclass
class _Tracked:
    """A row that this transaction has seen, and what the database holds of it."""

    row: SQLModel
    stored: Stored
    locked: bool


@dataclass(frozen=True)
class _Pending:
    """A row that is to be written. `tracked` is None for a new one."""

    row: SQLModel
    tracked: _Tracked | None
    write: Write

    @property
    def parameters(self) -> Iterator[Parameter]:
        """The values, in the order in which the statement takes them."""
        names = self.write.given if self.write.is_new else self.write.given + self.write.shape.key
        return (parameter(self.row.__dict__[name]) for name in names)


class SqlRows:
    """Rows by their key, over a connection whose transaction somebody else ends."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._tracked: dict[Where, _Tracked] = {}
        self._new: list[SQLModel] = []

    @property
    def clock(self) -> datetime:
        """A mark in a time's clothes: the database's clock is read when the row is written."""
        return _CLOCK

    async def now(self) -> datetime:
        """The database's clock."""
        [[now]] = await self._run(f"SELECT {CLOCK}")
        return cast(datetime, now).astimezone(UTC)

    async def get(self, table: type[Row], key: Key, *, lock: bool = False) -> Row | None:
        """A row by its primary key; a locked one as it is now, not as it was read before."""
        parts = key if isinstance(key, tuple) else (key,)
        if None in parts:
            return None
        if any(type(row) is table for row in self._new):
            await self.flush()
        tracked = self._tracked.get((table, *parts))
        if tracked is not None and lock and not tracked.locked:
            # What changed of it would be read over; a row that was written is locked by that.
            await self.flush()
        if tracked is not None and (tracked.locked or not lock):
            return cast(Row, tracked.row)
        statement = selected_by_key(table, lock=lock)
        found = await self._run(statement, [parameter(part) for part in parts])
        return self._taken(table, found[0], locked=lock) if found else None

    def add(self, row: SQLModel) -> None:
        """Insert a row at the next flush."""
        self._new.append(row)

    async def flush(self) -> None:
        """Write what changed, in one statement as long as no two rows are of the same table."""
        new, self._new = self._new, []
        pending = [_insert(row) for row in new]
        pending += [update for tracked in self._tracked.values() if (update := _update(tracked))]
        while pending:
            together, pending = _one_of_each_table(pending)
            await self._write(together)

    async def _write(self, together: Sequence[_Pending]) -> None:
        statement = written_together(tuple(one.write for one in together))
        answered = await self._run(
            statement, [value for one in together for value in one.parameters]
        )
        if len(answered) != 1:
            raise InvariantBroken("a row that was read is not there any more")
        told = iter(answered[0])
        for one in together:
            one.row.__dict__.update(zip(one.write.told, told, strict=False))
            stored = _values(one.row, one.write.shape)
            if one.tracked is None:
                self._track(one.row, stored, locked=True)
            else:
                one.tracked.stored, one.tracked.locked = stored, True

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A nested transaction: when it is taken back, the rows are as they were before it."""
        await self.flush()
        before = {where: tracked.stored for where, tracked in self._tracked.items()}
        try:
            async with self._connection.begin_nested():
                yield
                await self.flush()
        except BaseException:
            self._back_to(before)
            raise

    async def post(self, posting: Posting) -> None:
        """Write a posting once."""
        await ledger.post(self._connection, posting)

    async def _run(self, statement: str, parameters: Sequence[Parameter] = ()) -> list[Values]:
        return await driver.run(self._connection, statement, parameters)

    async def _select(
        self, table: type[Row], rest: str, *parameters: Parameter, lock: bool = False
    ) -> list[Row]:
        """Whole rows, this transaction's changes among them; `rest` follows the table's name."""
        await self._settle(table)
        found = await self._run(selected(table, rest), parameters)
        return [self._taken(table, values, locked=lock) for values in found]

    async def _insert_unless_there(self, table: type[Row], values: Mapping[str, Any]) -> Row | None:
        """Make a row at once. None: its key is taken."""
        statement = inserted_unless_there(table, tuple(values))
        made = await self._run(statement, [parameter(value) for value in values.values()])
        return self._taken(table, made[0], locked=True) if made else None

    async def _settle(self, table: type[SQLModel]) -> None:
        """Write what changed before a question about this table is asked, if any of it did."""
        if any(row_table is table for row_table, *_ in self._tracked) or any(
            type(row) is table for row in self._new
        ):
            await self.flush()

    def _taken(self, table: type[Row], values: Iterable[Any], *, locked: bool) -> Row:
        """Take a row up as it was read. One that was read before stays as it is, unless it has just
        been locked.
        """
        shape = shape_of(table)
        stored = dict(zip(shape.columns, values, strict=True))
        tracked = self._tracked.get((table, *(stored[name] for name in shape.key)))
        if tracked is None:
            # As an ORM loads a row: the constructor would set and check each attribute.
            row = cast(Row, inspect(table).class_manager.new_instance())
            row.__dict__.update(stored)
            self._track(row, stored, locked=locked)
            return row
        if locked:
            tracked.row.__dict__.update(stored)
            tracked.stored, tracked.locked = stored, True
        return cast(Row, tracked.row)

    def _track(self, row: SQLModel, stored: Stored, *, locked: bool) -> None:
        key = shape_of(type(row)).key
        self._tracked[type(row), *(stored[name] for name in key)] = _Tracked(row, stored, locked)

    def _changed_behind(self, row: SQLModel) -> None:
        """A statement has changed this row: it is read afresh when it is locked the next time."""
        key = shape_of(type(row)).key
        tracked = self._tracked.get((type(row), *(getattr(row, name) for name in key)))
        if tracked is not None:
            tracked.locked = False

    def _back_to(self, before: dict[Where, Stored]) -> None:
        """The savepoint's locks are gone with it, and so is what it wrote."""
        self._new.clear()
        for where, tracked in list(self._tracked.items()):
            if where not in before:
                del self._tracked[where]
                continue
            tracked.row.__dict__.update(before[where])
            tracked.stored, tracked.locked = before[where], False


def parameter(value: object) -> Parameter:
    """A value as the text that PostgreSQL reads as its column's type."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _values(row: SQLModel, shape: Shape) -> Stored:
    held = row.__dict__
    return {name: held[name] for name in shape.columns}


def _insert(row: SQLModel) -> _Pending:
    shape, held = shape_of(type(row)), row.__dict__
    # What has no value is left out: the column's default, or NULL.
    left = tuple(name for name in shape.defaults if held[name] is None)
    clocked = tuple(name for name in shape.columns if held[name] is _CLOCK)
    given = tuple(name for name in shape.columns if held[name] not in (None, _CLOCK))
    return _Pending(row, None, Write(shape, True, given, clocked, left + clocked))


def _update(tracked: _Tracked) -> _Pending | None:
    held, stored = tracked.row.__dict__, tracked.stored
    changed = [name for name, value in stored.items() if held[name] != value]
    if not changed:
        return None
    shape = shape_of(type(tracked.row))
    given = tuple(name for name in changed if held[name] is not _CLOCK)
    clocked = tuple(name for name in changed if held[name] is _CLOCK) + shape.touched
    return _Pending(tracked.row, tracked, Write(shape, False, given, clocked, clocked))


def _one_of_each_table(pending: list[_Pending]) -> tuple[list[_Pending], list[_Pending]]:
    """What one statement can write, and what is left: it keeps no order among rows of a table."""
    together: dict[Shape, _Pending] = {}
    left = [one for one in pending if together.setdefault(one.write.shape, one) is not one]
    return list(together.values()), left
