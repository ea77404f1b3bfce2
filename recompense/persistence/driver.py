"""The hot path's way to PostgreSQL: a constant statement on the driver's own connection.

SQLAlchemy still owns the pool and begins and ends the transaction. What it would do between the two
for each statement costs the client more than the statement costs the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

Values = tuple[Any, ...]
Parameter = str | bytes | None
"""Text, whatever the column's type: an untyped literal, which PostgreSQL reads as the column does.
psycopg would name an integer's type by its size, and each would be a prepared statement of its own.
"""


async def run(
    connection: AsyncConnection, statement: str, parameters: Sequence[Parameter] = ()
) -> list[Values]:
    """Run a statement in the transaction that `connection` is in, and return its rows.

    `statement` is in psycopg's form, its parameters in their order. As with SQLAlchemy's own
    `execute`, a transaction begins where there is none, and failures are `DBAPIError`s.
    """
    if not connection.in_transaction():
        await connection.begin()
    pooled = await connection.get_raw_connection()
    driver = cast("psycopg.AsyncConnection[Values]", pooled.driver_connection)
    try:
        cursor = await driver.execute(statement.encode(), parameters)
        # `cursor.description` would describe each column first.
        return await cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []
    except psycopg.Error as error:
        if driver.closed:
            await connection.invalidate()
        raise DBAPIError.instance(
            statement,
            None,
            error,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=driver.closed,
        ) from error
    except asyncio.CancelledError:
        # The server may still be at it: nobody else gets this connection.
        await connection.invalidate()
        raise
