"""Which migration the database is at."""

from __future__ import annotations

from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from recompense.persistence.urls import with_driver


def database_revision(database_url: str) -> str | None:
    """The revision of the database; None when no migration ever ran there."""
    with create_engine(with_driver(database_url), poolclass=NullPool).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()
