"""Payout runs as they are written: opened, frozen, reviewed, advanced, resumed. Each in its
caller's transaction, under the run's row lock, so that two copies of a run never act on the same
state of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.payout_runs import PayoutRunInput
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.ids import IdPrefix, new_id
from recompense.domain.money import MAX_AMOUNT
from recompense.domain.states import (
    PAYOUT_RUN_TRANSITIONS,
    PayoutItemState,
    PayoutRunStatus,
    may_move,
)
from recompense.ledger.accounts import merchant_available
from recompense.persistence import outbox, payout_run_reads
from recompense.persistence import payout_run_sql as sql
from recompense.persistence.run_tables import PayoutRunDay, PayoutRunItemRow, PayoutRunRow

_ROWS_AT_ONCE = 1_000
"""A statement has no more than 65,535 parameters."""

_NOWHERE = {
    "code": "payout_destination_missing",
    "message": "The merchant has no payout destination.",
}
_NOT_MADE = {"code": "payout_not_made", "message": "Its saga ended before it made a payout."}


@dataclass(frozen=True)
class DuePayout:
    """What a run would pay to a merchant in one currency. `token` None: nobody said where to."""

    merchant_id: str
    currency: str
    amount: int
    token: str | None


async def opened(session: AsyncSession, run: PayoutRunInput) -> PayoutRunRow:
    """Make the run's row, or find it. Raises `Refused`: `payout_run_exists`, when a run of all
    currencies and one of a single currency would meet on one business date.
    """
    scope = "all" if run.currency is None else "one"
    day = {"name": run.name, "business_date": run.business_date}
    await session.exec(insert(PayoutRunDay).values(**day, scope=scope).on_conflict_do_nothing())
    taken = await session.get(PayoutRunDay, (run.name, run.business_date))
    if taken is None or taken.scope != scope:
        raise await _exists(session, run)
    made = await session.exec(
        insert(PayoutRunRow)
        .values(
            **day,
            id=run.run_id or new_id(IdPrefix.PAYOUT_RUN),
            currency=run.currency,
            scope=scope,
            status=PayoutRunStatus.BUILDING,
            fired_at=run.fired_at,
            amount_total={},
            created_by=run.requested_by,
        )
        .on_conflict_do_nothing()
        .returning(PayoutRunRow)
    )
    row: PayoutRunRow | None = made.scalar_one_or_none()
    if row is not None:
        outbox.audit(session, actor=row.created_by, action="payout_run_made", target=row.id)
        return row
    found = await payout_run_reads.excluding(session, run.name, run.business_date, run.currency)
    if found is None:
        raise InvariantBroken(f"{run.workflow_id} has neither been made nor found")
    return found


async def _exists(session: AsyncSession, run: PayoutRunInput) -> Refused:
    other = await payout_run_reads.excluding(session, run.name, run.business_date, run.currency)
    return Refused(
        "payout_run_exists",
        "A run of this name and business date is there already.",
        payout_run_id=other.id if other is not None else "",
    )


async def locked(session: AsyncSession, run_id: str) -> PayoutRunRow:
    """Lock a run's row until the transaction ends. Raises `InvariantBroken` when there is none."""
    query = select(PayoutRunRow).where(PayoutRunRow.id == run_id).with_for_update()
    row = (await session.exec(query)).one_or_none()
    if row is None:
        raise InvariantBroken(f"there is no payout run {run_id}")
    return row


def move(row: PayoutRunRow, target: PayoutRunStatus) -> None:
    """Move a run along its transition table; any other move is a broken invariant."""
    current = PayoutRunStatus(row.status)
    if not may_move(PAYOUT_RUN_TRANSITIONS, current, target):
        raise InvariantBroken(f"payout run {row.id} cannot move from {current} to {target}")
    row.status = target


async def tell(session: AsyncSession, row: PayoutRunRow, word: str) -> None:
    """Emit an event with the run as it is now."""
    await session.flush()
    shown = await payout_run_reads.view(session, row)
    outbox.emit(session, f"payout_run.{word}", shown, merchant_id=None)


async def merchants_after(session: AsyncSession, row: PayoutRunRow, limit: int) -> list[Any]:
    """The next merchants that name this run: rows of `id`, `country` and `payout`."""
    return await _rows(
        session, sql.MERCHANTS, name=row.name, after=row.frozen_to or "", limit=limit
    )


async def available(
    session: AsyncSession, row: PayoutRunRow, merchants: Sequence[str]
) -> list[Any]:
    """What may be promised to these merchants: rows of `merchant_id`, `currency`, `available`.

    Promises of other runs are taken off. A balance below zero is one, and is carried forward.
    """
    return await _rows(
        session,
        sql.AVAILABLE,
        merchants=list(merchants),
        accounts=[merchant_available(merchant_id) for merchant_id in merchants],
        currency=row.currency,
    )


async def add_items(session: AsyncSession, row: PayoutRunRow, due: Sequence[DuePayout]) -> None:
    """Freeze a page of items, each with the id of the payout that it will become.

    One that has nowhere to go has failed already: whoever approves the run sees it.
    """
    values = [
        {
            "id": new_id(IdPrefix.PAYOUT_ITEM),
            "run_id": row.id,
            "merchant_id": one.merchant_id,
            "currency": one.currency,
            "amount": min(one.amount, MAX_AMOUNT),
            "state": PayoutItemState.READY if one.token else PayoutItemState.FAILED,
            "failure": None if one.token else _NOWHERE,
            "payout_id": new_id(IdPrefix.PAYOUT),
            "token": one.token,
        }
        for one in due
    ]
    for first in range(0, len(values), _ROWS_AT_ONCE):
        batch = values[first : first + _ROWS_AT_ONCE]
        await session.exec(insert(PayoutRunItemRow).values(batch))


async def total(session: AsyncSession, row: PayoutRunRow) -> None:
    """Write what all items come to: the list is complete."""
    [found] = await _rows(session, sql.TOTALS, run_id=row.id)
    row.items_count = int(found.items)
    row.amount_total = {currency: int(amount) for currency, amount in found.total.items()}


async def reject_items(session: AsyncSession, row: PayoutRunRow) -> None:
    """Nothing of this run is paid."""
    await _run(session, sql.REJECT_ITEMS, run_id=row.id)


async def mark(
    session: AsyncSession, row: PayoutRunRow, started: Sequence[str], lost: Sequence[str]
) -> None:
    """Write how the started items stand: under way, ended, refused, or never begun."""
    await _run(session, sql.MARK_STARTED, run_id=row.id, items=list(started))
    await _run(session, sql.MARK_SETTLED, run_id=row.id)
    await _run(session, sql.MARK_REFUSED, run_id=row.id)
    await _run(
        session, sql.MARK_LOST, run_id=row.id, items=list(lost), failure=json.dumps(_NOT_MADE)
    )


async def open_items(session: AsyncSession, row: PayoutRunRow) -> tuple[int, int]:
    """How many items wait to be started, and how many were and are not settled."""
    [found] = await _rows(session, sql.OPEN, run_id=row.id)
    return int(found.ready), int(found.started)


async def next_items(
    session: AsyncSession, row: PayoutRunRow, limit: int
) -> list[PayoutRunItemRow]:
    """The next items to start, in the order of their ids."""
    query = (
        select(PayoutRunItemRow)
        .where(PayoutRunItemRow.run_id == row.id, PayoutRunItemRow.state == PayoutItemState.READY)
        .order_by(col(PayoutRunItemRow.id))
        .limit(limit)
    )
    return list((await session.exec(query)).all())


async def end(session: AsyncSession, row: PayoutRunRow) -> None:
    """Nothing is left to start or to wait for."""
    connection = await session.connection()
    all_well = (await connection.execute(sql.ALL_WELL, {"run_id": row.id})).scalar_one()
    move(
        row,
        PayoutRunStatus.COMPLETED if all_well else PayoutRunStatus.COMPLETED_WITH_FAILURES,
    )
    await tell(session, row, "completed")


async def resume(
    session: AsyncSession, row: PayoutRunRow, *, key: str, actor: str, reason: str
) -> bool:
    """Make the failed items of a run that has ended ready again, once for each `key`.

    A run that has not ended stays as it is. False: there was nothing to do, and is not.
    """
    if row.is_open or await _rows(session, sql.RESUMED, run_id=row.id, key=key):
        return True
    if row.status == PayoutRunStatus.REJECTED:
        return False
    failed = await _rows(session, sql.FAILED_ITEMS, run_id=row.id)
    for item in failed:
        await _run(
            session,
            sql.REQUEUE,
            item_id=item.id,
            payout_id=new_id(IdPrefix.PAYOUT) if item.is_over else item.payout_id,
            again=not item.is_over,
            attempts=0 if item.is_over else item.attempts,
            token=item.token,
        )
    if failed:
        move(row, PayoutRunStatus.RUNNING)
        outbox.audit(
            session,
            actor=actor,
            action="payout_run_resume",
            target=row.id,
            reason=reason,
            items=len(failed),
            key=key,
        )
    return bool(failed)


async def _rows(session: AsyncSession, statement: TextClause, **values: object) -> list[Any]:
    connection = await session.connection()
    return list((await connection.execute(statement, values)).all())


async def _run(session: AsyncSession, statement: TextClause, **values: object) -> None:
    connection = await session.connection()
    await connection.execute(statement, values)
