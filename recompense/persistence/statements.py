"""What a merchant's accounts did in a period that is closed: read in pages, each in a short
transaction of its own.

Nothing appears any more at or before the ledger's watermark. So a period that ends there never
changes, and its pages fit together without one long transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recompense.domain.failures import InvariantBroken
from recompense.ledger.results import AccountBalance
from recompense.ledger.statements import Holdings, MerchantAccounts, Movement, StatementLine
from recompense.persistence import ledger
from recompense.persistence.database import Database

PAGE = 500
_TICK = timedelta(microseconds=1)
_ALL = str(2**64 - 1)

# Each branch reads one index of transfers in its own order, no further than a page. A transfer
# between two of the accounts is found on its debit side.
_MOVEMENTS = text("""
SELECT t.posting_id, t.line, CAST(t.created AS text) AS created, t.at, t.debit, t.credit, t.amount,
       p.posting_key, p.operation_id, p.payment_id
FROM (
    SELECT page.* FROM unnest(CAST(:accounts AS text[])) AS wanted (account)
    LEFT JOIN LATERAL (
        SELECT through FROM ledger_snapshots
        WHERE account = wanted.account AND last_at < :since ORDER BY through DESC LIMIT 1
    ) AS horizon ON true
    CROSS JOIN LATERAL (
        (SELECT * FROM ledger_transfers t
         WHERE t.debit = wanted.account AND t.phase = 'posted' AND t.currency = :currency
           AND t.at >= :since AND t.at < :until AND t.created < CAST(:before AS xid8)
           AND t.created >= coalesce(horizon.through, CAST('0' AS xid8))
           AND t.created >= CAST(:created AS xid8)
           AND (t.created, t.posting_id, t.line) > (CAST(:created AS xid8), :posting_id, :line)
         ORDER BY t.created, t.posting_id, t.line LIMIT :limit)
        UNION ALL
        (SELECT * FROM ledger_transfers t
         WHERE t.credit = wanted.account AND t.phase = 'posted' AND t.currency = :currency
           AND t.debit <> ALL (CAST(:accounts AS text[]))
           AND t.at >= :since AND t.at < :until AND t.created < CAST(:before AS xid8)
           AND t.created >= coalesce(horizon.through, CAST('0' AS xid8))
           AND t.created >= CAST(:created AS xid8)
           AND (t.created, t.posting_id, t.line) > (CAST(:created AS xid8), :posting_id, :line)
         ORDER BY t.created, t.posting_id, t.line LIMIT :limit)
    ) AS page
    ORDER BY page.created, page.posting_id, page.line LIMIT :limit
) AS t
CROSS JOIN LATERAL (SELECT * FROM ledger_postings p WHERE p.id = t.posting_id OFFSET 0) AS p
ORDER BY t.created, t.posting_id, t.line
""")

# What a transaction writes is never earlier than its id, and a seal that begins after the period is
# given a later id than all that wrote in it. The next seal saw that one completed.
_SEAL_AFTER = text("""
SELECT CAST(next_created AS text) FROM ledger_seals
WHERE observed_at >= :until ORDER BY observed_at OFFSET 1 LIMIT 1
""")


class BooksStillOpen(Exception):
    """The period ends after the time up to which the books are closed, `closed_until`."""

    def __init__(self, closed_until: datetime | None) -> None:
        super().__init__(f"the books are closed up to {closed_until}")
        self.closed_until = closed_until


@dataclass(frozen=True)
class Period:
    """From `since` to just before `until`: one period ends where the next one begins."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Account:
    """A merchant's money in one currency over a period: what was there before it, and after it."""

    currency: str
    opening: Holdings
    closing: Holdings


async def closed_period(database: Database, since: datetime, until: datetime | None) -> Period:
    """The period to be told; without an end it goes as far as the books are closed.

    Raises `BooksStillOpen`.
    """
    async with database.engine.connect() as connection:
        closed_until = await ledger.watermark(connection)
    if closed_until is None or (until or since) > closed_until:
        raise BooksStillOpen(closed_until)
    return Period(since, until or closed_until)


async def accounts(
    database: Database, merchant_id: str, period: Period, currency: str | None
) -> list[Account]:
    """The merchant's accounts by currency: one, or every one that ever held something by then."""
    wanted = MerchantAccounts(merchant_id)
    async with database.engine.connect() as connection:
        opening = await _holdings(connection, wanted, period.since)
        closing = await _holdings(connection, wanted, period.until)
    none = Holdings(0, 0, 0)
    return [
        Account(one, opening.get(one, none), closing.get(one, none))
        for one in ([currency] if currency else sorted(closing))
    ]


async def lines(
    database: Database, merchant_id: str, period: Period, account: Account
) -> AsyncIterator[StatementLine]:
    """All movements of the period in one currency, in the order of their transactions.

    Raises `InvariantBroken`, at the end, when they do not lead from the opening to the closing
    balance.
    """
    wanted, held = MerchantAccounts(merchant_id), account.opening
    async for movement in _movements(database, wanted, period, account.currency):
        line = wanted.line(movement, held)
        held = line.after
        yield line
    if held != account.closing:
        raise InvariantBroken(f"{merchant_id} ends with {held}, its ledger with {account.closing}")


async def _movements(
    database: Database, wanted: MerchantAccounts, period: Period, currency: str
) -> AsyncIterator[Movement]:
    asked: dict[str, Any] = {
        "accounts": wanted.names,
        "currency": currency,
        "since": period.since,
        "until": period.until,
        "limit": PAGE,
    }
    async with database.engine.connect() as connection:
        seal = await connection.execute(_SEAL_AFTER, {"until": period.until})
        asked["before"] = seal.scalar_one_or_none() or _ALL
    place: dict[str, Any] = {"created": "0", "posting_id": 0, "line": 0}
    while True:
        async with database.engine.connect() as connection:
            rows = (await connection.execute(_MOVEMENTS, asked | place)).all()
        for row in rows:
            yield Movement(
                row.at, row.posting_key, row.operation_id, row.payment_id, row.debit, row.credit,
                row.amount,
            )  # fmt: skip
        if len(rows) < PAGE:
            return
        place = {name: getattr(rows[-1], name) for name in place}


async def _holdings(
    connection: AsyncConnection, wanted: MerchantAccounts, before: datetime
) -> dict[str, Holdings]:
    by_account = [await ledger.balances(connection, name, before - _TICK) for name in wanted.names]
    currencies = {one.currency for found in by_account for one in found}
    return {
        currency: Holdings(*(_in(currency, found) for found in by_account))
        for currency in currencies
    }


def _in(currency: str, found: Sequence[AccountBalance]) -> int:
    return next((one.balance for one in found if one.currency == currency), 0)
