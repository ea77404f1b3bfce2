"""What this process says to PostgreSQL, as the driver sends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus


class Transaction(list[str]):
    """The statements of one transaction, in their order; `told` is what their parameters held."""

    def __init__(self) -> None:
        super().__init__()
        self.told = ""


@contextmanager
def transactions() -> Iterator[list[Transaction]]:
    """Every transaction that this process begins meanwhile, with its statements in their order.

    BEGIN, COMMIT and ROLLBACK are left out. A statement that is sent while its connection is in no
    transaction begins one, whoever thinks of it as one.
    """
    begun: list[Transaction] = []
    open_on: dict[int, Transaction] = {}
    execute = psycopg.AsyncCursor.execute

    async def noted(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        connection = cursor.connection
        if connection.info.transaction_status is TransactionStatus.IDLE:
            open_on[id(connection)] = Transaction()
            begun.append(open_on[id(connection)])
        if id(connection) in open_on:
            open_on[id(connection)].append(_text(query))
            open_on[id(connection)].told += str(arguments)
        return await execute(cursor, query, *arguments, **options)

    psycopg.AsyncCursor.execute = noted  # type: ignore[method-assign,assignment]  # every statement comes by here
    try:
        yield begun
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign]  # as it was


def _text(query: object) -> str:
    text = query.decode() if isinstance(query, bytes) else str(query)
    return " ".join(text.split())
