"""The tables that the code speaks to are the tables that the migrations make."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, MetaData, String, Table, Text, create_engine, inspect
from sqlalchemy.types import UserDefinedType
from sqlmodel import AutoString, SQLModel

import recompense.persistence
from recompense.persistence.urls import with_driver

# SQLAlchemy has no type of its own for the ledger's transaction ids.
pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'xid8'")

IN_MIGRATIONS_ONLY = (
    "add_index",
    "remove_index",
    "add_constraint",
    "remove_constraint",
    "add_fk",
    "remove_fk",
)
"""Guards and indexes are the migrations' own: the models describe rows, not the database."""


WRITTEN_BY_THE_DATABASE = ("events", "created")
"""The transaction that emitted an event: set by a default, read in SQL only."""


def _all_tables() -> MetaData:
    for module in pkgutil.iter_modules(recompense.persistence.__path__):
        importlib.import_module(f"recompense.persistence.{module.name}")
    return SQLModel.metadata


def _differences(database_url: str, tables: MetaData) -> list[str]:
    engine = create_engine(with_driver(database_url))
    try:
        with engine.connect() as connection:
            options = {"compare_type": _is_other_type, "compare_server_default": False}
            context = MigrationContext.configure(connection, opts=options)
            found = _flat(compare_metadata(context, tables))
            return [str(one) for one in found if not _is_accepted(one)]
    finally:
        engine.dispose()


def _is_accepted(found: tuple[Any, ...]) -> bool:
    if found[0] == "remove_column":
        return (found[2], found[3].name) == WRITTEN_BY_THE_DATABASE
    return found[0] in IN_MIGRATIONS_ONLY


def _flat(found: list[Any]) -> Iterator[tuple[Any, ...]]:
    for one in found:
        if isinstance(one, list):
            yield from _flat(one)
        else:
            yield one


def _is_other_type(
    _context: object, _inspected: object, _column: object, in_database: object, in_code: object
) -> bool | None:
    """None leaves the comparison to Alembic.

    It cannot compare what SQLAlchemy has no type for, and takes SQLModel's strings for VARCHAR.
    """
    if isinstance(in_code, UserDefinedType):
        return False
    if isinstance(in_code, AutoString) and in_code.length is None:
        return not isinstance(in_database, String)
    return None


def test_tables_of_the_code_equal_the_migrated_database(database_url: str) -> None:
    found = _differences(database_url, _all_tables())
    assert not found, (
        "The models and the migrations disagree. Change the model, or write a migration:\n  "
        + "\n  ".join(found)
    )


def test_column_that_no_migration_makes_is_found(database_url: str) -> None:
    tables = MetaData()
    for table in _all_tables().tables.values():
        table.to_metadata(tables)
    tables.tables["payments"].append_column(Column("invented", Text))
    Table("invented", tables, Column("id", Text, primary_key=True))
    found = _differences(database_url, tables)
    assert len(found) == 2
    assert all("invented" in one for one in found)


def test_every_table_in_the_database_has_a_model(database_url: str) -> None:
    engine = create_engine(with_driver(database_url))
    in_database = set(inspect(engine).get_table_names()) - {"alembic_version"}
    engine.dispose()
    assert in_database == set(_all_tables().tables)
