"""Runs the migrations on the address in the configuration's attribute `database_url`."""

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from recompense.persistence import api_tables, ledger_tables  # noqa: F401 - fills the metadata
from recompense.persistence.urls import with_driver

# One migrator at a time: several processes of a stack may start at once.
MIGRATION_LOCK = 7_251_001


def run_online() -> None:
    engine = create_engine(
        with_driver(context.config.attributes["database_url"]), poolclass=NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=SQLModel.metadata)
        with context.begin_transaction():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            context.run_migrations()


def run_offline() -> None:
    context.configure(
        url=with_driver(context.config.attributes["database_url"]),
        target_metadata=SQLModel.metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
