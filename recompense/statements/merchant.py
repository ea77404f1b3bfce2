"""The statement of a merchant: opening balance, every movement, closing balance, by currency."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from recompense.ledger.statements import Holdings, StatementLine
from recompense.persistence import statements
from recompense.persistence.database import Database
from recompense.persistence.statements import Account, Period
from recompense.statements.rendering import Amount, Row, Table

COLUMNS = (
    "at",
    "kind",
    "operation_id",
    "payment_id",
    "posting_key",
    "currency",
    "moved",
    "change",
    "pending",
    "available",
    "reserve",
    "total",
)


async def merchant_statement(
    database: Database, merchant_id: str, period: Period, currency: str | None
) -> Table:
    """The statement of a closed period. The closing balance is the ledger's own at its end, and the
    lines lead to it: otherwise the last line is never written.
    """
    accounts = await statements.accounts(database, merchant_id, period, currency)
    return Table(
        title=f"Statement of {merchant_id}",
        facts=(
            ("From", _time(period.since)),
            ("To, exclusive", _time(period.until)),
            ("Currencies", ", ".join(account.currency for account in accounts) or "none"),
        ),
        columns=COLUMNS,
        rows=_rows(database, merchant_id, period, accounts),
    )


async def _rows(
    database: Database, merchant_id: str, period: Period, accounts: Sequence[Account]
) -> AsyncIterator[Row]:
    for account in accounts:
        yield _balance(period.since, "opening_balance", account.opening, account.currency)
        async for line in statements.lines(database, merchant_id, period, account):
            yield _line(line, account.currency)
        yield _balance(period.until, "closing_balance", account.closing, account.currency)


def _line(line: StatementLine, currency: str) -> Row:
    movement = line.movement
    return (
        _time(movement.at),
        line.kind,
        movement.operation_id,
        movement.payment_id,
        movement.posting_key,
        currency,
        Amount(movement.amount, currency),
        Amount(line.change, currency),
        *_held(line.after, currency),
    )


def _balance(at: datetime, kind: str, held: Holdings, currency: str) -> Row:
    return (_time(at), kind, None, None, None, currency, None, None, *_held(held, currency))


def _held(held: Holdings, currency: str) -> Sequence[Amount]:
    return [Amount(minor, currency) for minor in (*held, held.total)]


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
