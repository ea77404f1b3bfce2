"""The one way to a transaction.

`Database.transaction()` begins, yields a session and commits when the block ends without an
exception; everything else rolls back.
A commit whose answer was lost raises like any broken connection: it may have happened, so every
transaction here is safe to run
twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.persistence.sql_work import SqlWork
from recompense.persistence.urls import with_driver


class Database:
    """A pool of connections to PostgreSQL. Make one per process, after any fork, and close it at
    the end.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        statement_timeout_seconds: float = 1.5,
        application_name: str = "recompense",
    ) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            with_driver(url),
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=statement_timeout_seconds,
            connect_args={
                "application_name": application_name,
                "connect_timeout": 3,
                # A server that went silent, with its network, is noticed within ten seconds.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 2,
                "tcp_user_timeout": 10_000,
                "options": f"-c statement_timeout={int(statement_timeout_seconds * 1000)}"
                f" -c lock_timeout={int(statement_timeout_seconds * 1000)}"
                " -c idle_in_transaction_session_timeout=10000",
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a READ COMMITTED transaction: every rule that money leans on is a constraint or a
        row lock, not isolation.
        """
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def work(self) -> AsyncIterator[SqlWork]:
        """Open a transaction, READ COMMITTED too, for activities: they ask by name and hold no
        SQL. What they changed is written before it commits.
        """
        async with self.engine.begin() as connection:
            work = SqlWork(connection)
            yield work
            await work.flush()

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()
