"""The text of the statements that read and write rows. Each text is made once and prepared by the
driver, so it must never depend on a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from sqlalchemy import inspect
from sqlmodel import SQLModel

CLOCK = "clock_timestamp()"


@dataclass(frozen=True, eq=False)
class Shape:
    """What the text of a statement has to know of a table.

    `columns` by the names of the attributes. The database sets `defaults` where a new row has no
    value, and `touched` whenever a row changes.
    """

    table: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    defaults: tuple[str, ...]
    touched: tuple[str, ...]

    def listed(self, attributes: tuple[str, ...] | None = None) -> str:
        """The columns of these attributes (None: all), as a list."""
        return ", ".join(self.columns[name] for name in attributes or self.columns)

    @property
    def is_key(self) -> str:
        """The condition that finds a row by its primary key."""
        return " AND ".join(f"{self.columns[name]} = %s" for name in self.key)


@cache
def shape_of(table: type[SQLModel]) -> Shape:
    """Read a table's shape from its mapping."""
    mapper = inspect(table)
    columns = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    return Shape(
        table=str(table.__tablename__),
        columns={name: column.name for name, column in columns.items()},
        key=tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key),
        defaults=tuple(
            name
            for name, column in columns.items()
            if column.server_default is not None or column.identity is not None
        ),
        touched=tuple(name for name, column in columns.items() if column.onupdate is not None),
    )


@dataclass(frozen=True)
class Write:
    """One row's write, less its values: `given` takes parameters, `clocked` the database's clock,
    and `told` comes back.
    """

    shape: Shape
    is_new: bool
    given: tuple[str, ...]
    clocked: tuple[str, ...]
    told: tuple[str, ...]

    @property
    def text(self) -> str:
        """The statement that writes this row alone."""
        return f"{self.insert if self.is_new else self._update} RETURNING {self._returned}"

    @property
    def _returned(self) -> str:
        return self.shape.listed(self.told) if self.told else "true"

    @property
    def insert(self) -> str:
        """The insert, before what it returns."""
        shape = self.shape
        values = ", ".join([*("%s" for _ in self.given), *(CLOCK for _ in self.clocked)])
        columns = shape.listed(self.given + self.clocked)
        return f"INSERT INTO {shape.table} ({columns}) VALUES ({values})"  # noqa: S608 - our own names

    @property
    def _update(self) -> str:
        columns = self.shape.columns
        given = [f"{columns[name]} = %s" for name in self.given]
        clocked = [f"{columns[name]} = {CLOCK}" for name in self.clocked]
        changes = ", ".join(given + clocked)
        return f"UPDATE {self.shape.table} SET {changes} WHERE {self.shape.is_key}"  # noqa: S608 - our own names


@cache
def written_together(writes: tuple[Write, ...]) -> str:
    """One statement for several rows, none of them of the same table: it answers with one row of
    all that they tell, in their order.
    """
    if len(writes) == 1:
        return writes[0].text
    parts = ", ".join(f"w{number} AS ({write.text})" for number, write in enumerate(writes))
    told = ", ".join(
        f"w{number}.{write.shape.columns[name]}"
        for number, write in enumerate(writes)
        for name in write.told
    )
    sources = ", ".join(f"w{number}" for number in range(len(writes)))
    return f"WITH {parts} SELECT {told or 'true'} FROM {sources}"  # noqa: S608 - our own names


@cache
def selected(table: type[SQLModel], rest: str) -> str:
    """The statement that reads whole rows: `rest` is what follows the table's name."""
    shape = shape_of(table)
    return f"SELECT {shape.listed()} FROM {shape.table} {rest}"  # noqa: S608 - our own names


@cache
def selected_by_key(table: type[SQLModel], *, lock: bool) -> str:
    """The statement that reads one row by its primary key."""
    locked = " FOR UPDATE" if lock else ""
    return selected(table, f"WHERE {shape_of(table).is_key}{locked}")


@cache
def inserted_unless_there(table: type[SQLModel], given: tuple[str, ...]) -> str:
    """The statement that makes a row of these attributes and answers with all of it, or with
    nothing when its key is taken.
    """
    shape = shape_of(table)
    insert = Write(shape, True, given, (), ()).insert
    return f"{insert} ON CONFLICT DO NOTHING RETURNING {shape.listed()}"
