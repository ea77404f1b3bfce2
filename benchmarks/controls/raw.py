"""Raw: the rows of the ledger inserted directly with psycopg, and nothing else.

One transaction with one statement for each posting: the same rows into the same tables, with their
indexes and triggers. A transaction, because a posting is always written in that of its step. No key
is looked up, no account name is checked by us, no template is asked.
(The sandbox called directly is `benchmarks.subjects`, with the request that all controls make.)
"""

from __future__ import annotations

import psycopg

INSERT = """
WITH header AS (
    INSERT INTO ledger_postings (posting_key, operation_id, payment_id, lines)
    VALUES (%s, %s, %s, 1) RETURNING id
)
INSERT INTO ledger_transfers (posting_id, line, debit, credit, amount, currency, phase)
SELECT id, 1, %s, %s, %s, %s, 'pending' FROM header
"""


async def hold(
    connection: psycopg.AsyncConnection, payment_id: str, debit: str, credit: str, amount: int
) -> None:
    """Write one hold, in a transaction of its own."""
    key = f"{payment_id}:authorize:1"
    values = (key, payment_id, payment_id, debit, credit, amount, "EUR")
    async with connection.transaction():
        await connection.execute(INSERT, values)
