"""The ledger in PostgreSQL: postings in, balances out.

A posting is one statement, in the caller's transaction. The database checks all of it again: see
the first migration.

Balances in the past. An entry's `at` is the database's clock when its row was made, not when its
transaction committed. So a
balance at time T can still grow, by a transaction that was open at T and commits later. `watermark`
is the time up to
which that can no longer happen: at or before it, a balance is exact for ever. Transactions here
last milliseconds, so it is
seldom a second behind; a report that must never change asks for a time at or before it.
"""

from datetime import UTC, datetime
from typing import Any

from psycopg.errors import CheckViolation
from sqlalchemy import Row, TextClause
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from recompense.domain.failures import InsufficientAvailableBalance, InvariantBroken
from recompense.ledger.accounts import (
    account,
    merchant_available,
    merchant_pending,
    merchant_reserve,
)
from recompense.ledger.postings import OpenHold, Phase, Posting, Transfer, TransferRef
from recompense.ledger.results import (
    AccountBalance,
    CurrencyTotals,
    EntryPage,
    LedgerEntry,
    MerchantBalance,
    PostingResult,
    TrialBalance,
)
from recompense.persistence import driver, ledger_sql
from recompense.persistence.driver import Parameter, Values

Executor = AsyncConnection | AsyncSession
"""What the repository runs its statements on; transactions are begun and ended by the caller."""

_FLOOR_CONSTRAINT = "ledger_floor_held"
_FIRST_PAGE = f"{2**63 - 1}.{2**63 - 1}.{2**15 - 1}"


async def post(executor: Executor, posting: Posting) -> PostingResult:
    """Write a posting, or find the one that its key has written before.

    A posting that could take a floored account below its floor is written inside a savepoint, so
    that the caller's
    transaction can record the refusal and go on.

    Raises:
        InsufficientAvailableBalance: a floored account would fall below its floor; nothing is
        written.
        InvariantBroken: the key was posted with another content, or a hold does not cover what
        would use it.
    """
    connection = await _connection(executor)
    try:
        if any(map(_takes_from_floored, posting.transfers)):
            async with connection.begin_nested():
                row = await _write(connection, posting)
        else:
            row = await _write(connection, posting)
    except IntegrityError as error:
        raise _translated(error, posting) from error
    if row is not None:
        return PostingResult(id=row[0], at=row[1], first=True)
    return await _first_one(connection, posting)


async def read_posting(executor: Executor, key: str) -> Posting | None:
    """The posting under this key, if it was written."""
    rows = await _rows(executor, ledger_sql.READ_POSTING, posting_key=key)
    return _posting(key, rows) if rows else None


async def authorization_holds(executor: Executor, payment_id: str) -> list[OpenHold]:
    """What of the payment's authorization is still held, oldest hold first."""
    rows = await _rows(executor, ledger_sql.AUTHORIZATION_HOLDS, payment_id=payment_id)
    return [_hold(row) for row in rows]


async def operation_holds(executor: Executor, operation_id: str) -> list[OpenHold]:
    """What the operation (a refund, a payout) still holds, oldest hold first."""
    rows = await _rows(executor, ledger_sql.OPERATION_HOLDS, operation_id=operation_id)
    return [_hold(row) for row in rows]


async def lock_available(executor: Executor, merchant_id: str, currency: str) -> int:
    """Lock a merchant's available balance until the transaction ends, and tell how much of it may
    be taken.

    In minor units, down to the account's floor, holds taken off. Whoever decides by the balance
    asks here first: then the
    decision and the posting cannot disagree.
    """
    name = {"account": merchant_available(merchant_id), "currency": currency}
    connection = await _connection(executor)
    locked = (await connection.execute(ledger_sql.LOCK_FLOORED, name)).scalar_one_or_none()
    if locked is None:
        # Without a row there is nothing to lock, and two first debits would pass each other.
        await connection.execute(ledger_sql.OPEN_FLOORED, name)
        locked = (await connection.execute(ledger_sql.LOCK_FLOORED, name)).scalar_one()
    return int(locked)


async def set_floor(executor: Executor, merchant_id: str, currency: str, floor: int) -> None:
    """Agree an overdraft: the available balance may fall to `floor` minor units, zero or below.

    Raises:
        InsufficientAvailableBalance: the balance is below the new floor already.
    """
    connection = await _connection(executor)
    name = merchant_available(merchant_id)
    try:
        async with connection.begin_nested():
            await connection.execute(
                ledger_sql.SET_FLOOR, {"account": name, "currency": currency, "floor": floor}
            )
    except IntegrityError as error:
        if _constraint(error) == _FLOOR_CONSTRAINT:
            raise InsufficientAvailableBalance from error
        raise


async def balances(
    executor: Executor,
    account_name: str,
    at: datetime | None = None,
    currency: str | None = None,
) -> list[AccountBalance]:
    """An account's balances, one for each currency it has ever moved in, now or at a past time.

    Raises:
        ValueError: the chart has no such account.
    """
    described = account(account_name)
    rows = await _rows(executor, ledger_sql.TOTALS, accounts=[account_name], at=_until(at))
    found = []
    for row in rows:
        if currency in {None, row.currency}:
            totals = dict(row._mapping)
            credit_balance = row.credits_posted - row.debits_posted
            balance = credit_balance if described.normal_side == "credit" else -credit_balance
            found.append(AccountBalance(kind=described.kind, balance=balance, **totals))
    return found


async def merchant_balances(executor: Executor, merchant_id: str) -> list[MerchantBalance]:
    """What a merchant can count on now, for each currency."""
    pending, reserve = merchant_pending(merchant_id), merchant_reserve(merchant_id)
    rows = await _rows(
        executor,
        ledger_sql.MERCHANT_BALANCES,
        accounts=[pending, reserve],
        pending=pending,
        reserve=reserve,
        available=merchant_available(merchant_id),
        at=_until(None),
    )
    return [MerchantBalance(**row._mapping) for row in rows]


async def entries(
    executor: Executor, account_name: str, cursor: str | None = None, limit: int = 20
) -> EntryPage:
    """A page of an account's entries, newest first.

    Raises:
        ValueError: the chart has no such account, or the cursor is not one that a page gave out.
    """
    described = account(account_name)
    created, posting_id, line = _read_cursor(cursor or _FIRST_PAGE)
    rows = await _rows(
        executor,
        ledger_sql.ENTRIES,
        account=described.name,
        before_created=str(created),
        before_posting=posting_id,
        before_line=line,
        limit=limit + 1,
    )
    page = [_entry(described.name, row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    cursor = f"{last.created}.{last.posting_id}.{last.line}" if last else None
    return EntryPage(data=page, next_cursor=cursor)


async def trial_balance(executor: Executor, at: datetime | None = None) -> TrialBalance:
    """The whole ledger, for each currency, now or at a past time. Summed over accounts, not over
    transfers.
    """
    rows = await _rows(executor, ledger_sql.TRIAL_BALANCE, at=_until(at))
    exact_until = await watermark(executor) if at else None
    return TrialBalance(
        data=[CurrencyTotals(**row._mapping) for row in rows],
        at=at or datetime.now(UTC),
        final=bool(at and exact_until and at <= exact_until),
    )


async def watermark(executor: Executor) -> datetime | None:
    """The time up to which balances are exact for ever; None while that is not known."""
    [row] = await _rows(executor, ledger_sql.WATERMARK)
    found: datetime | None = row.watermark
    return found


async def _connection(executor: Executor) -> AsyncConnection:
    return await executor.connection() if isinstance(executor, AsyncSession) else executor


async def _rows(executor: Executor, statement: TextClause, **parameters: object) -> list[Row[Any]]:
    connection = await _connection(executor)
    return list((await connection.execute(statement, parameters)).all())


async def _write(connection: AsyncConnection, posting: Posting) -> Values | None:
    lines = str(len(posting.transfers))
    parameters: list[Parameter] = [posting.key, posting.operation_id, posting.payment_id, lines]
    for line in posting.transfers:
        ref = line.resolves
        parameters += [line.debit, line.credit, str(line.amount), line.currency, line.phase.value]
        parameters += [ref.posting_key, str(ref.line)] if ref else [None, None]
    written = await driver.run(connection, ledger_sql.post(len(posting.transfers)), parameters)
    return written[0] if written else None


async def _first_one(connection: AsyncConnection, posting: Posting) -> PostingResult:
    rows = await _rows(connection, ledger_sql.READ_POSTING, posting_key=posting.key)
    if _posting(posting.key, rows) != posting:
        raise InvariantBroken(f"posting {posting.key} was written with another content")
    return PostingResult(id=rows[0].id, at=rows[0].at, first=False)


def _takes_from_floored(transfer: Transfer) -> bool:
    return account(transfer.debit).floored and transfer.resolves is None


def _translated(error: IntegrityError, posting: Posting) -> Exception:
    constraint = _constraint(error)
    if constraint == _FLOOR_CONSTRAINT:
        return InsufficientAvailableBalance()
    return InvariantBroken(f"posting {posting.key} breaks {constraint}")


def _constraint(error: IntegrityError) -> str | None:
    return error.orig.diag.constraint_name if isinstance(error.orig, CheckViolation) else None


def _posting(key: str, rows: list[Row[Any]]) -> Posting:
    return Posting(key, tuple(map(_transfer, rows)), rows[0].payment_id)


def _transfer(row: Row[Any]) -> Transfer:
    resolves = TransferRef(row.resolves_key, row.resolves_line) if row.resolves_key else None
    return Transfer(row.debit, row.credit, row.amount, row.currency, Phase(row.phase), resolves)


def _hold(row: Row[Any]) -> OpenHold:
    ref = TransferRef(row.posting_key, row.line)
    return OpenHold(ref, row.debit, row.credit, row.currency, row.remaining)


def _entry(account_name: str, row: Row[Any]) -> LedgerEntry:
    return LedgerEntry(
        id=f"{row.posting_id}.{row.line}.{row.direction}",
        posting_key=row.posting_key,
        operation_id=row.operation_id,
        account=account_name,
        currency=row.currency,
        direction=row.direction,
        amount=row.amount,
        phase=Phase(row.phase),
        at=row.at,
    )


def _read_cursor(cursor: str) -> tuple[int, int, int]:
    parts = cursor.split(".")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 20 for part in parts):
        raise ValueError("this cursor was not given out by a page of entries")
    created, posting_id, line = map(int, parts)
    return created, posting_id, min(line, 2**15 - 1)


def _until(at: datetime | None) -> datetime:
    return at or datetime.max.replace(tzinfo=UTC)
