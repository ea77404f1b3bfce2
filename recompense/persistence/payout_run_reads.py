"""Payout runs as they are read. Counts come from the items and their payouts, so they are true
after the run's end too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.views import PayoutRunItemView, PayoutRunView
from recompense.domain.states import PayoutItemState, PayoutRunStatus, PayoutStatus
from recompense.persistence import payout_run_sql as sql
from recompense.persistence.run_tables import PayoutRunRow
from recompense.persistence.views import failure_view

_WITHOUT_PAYOUT: dict[str, PayoutStatus] = {
    PayoutItemState.FAILED: PayoutStatus.FAILED,
    PayoutItemState.REJECTED: PayoutStatus.REJECTED,
}


@dataclass(frozen=True)
class RunFilters:
    """What a list of runs is narrowed to. `before_id` is where the page before ended."""

    limit: int
    before_id: str | None = None
    status: str | None = None
    name: str | None = None
    business_date: date | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def find(session: AsyncSession, run_id: str) -> PayoutRunView | None:
    """A run by its id."""
    row = await session.get(PayoutRunRow, run_id)
    return None if row is None else await view(session, row)


async def excluding(
    session: AsyncSession, name: str, business_date: date, currency: str | None
) -> PayoutRunRow | None:
    """The run that leaves no room for this one: the same, or one that it excludes."""
    query = select(PayoutRunRow).where(
        PayoutRunRow.name == name, PayoutRunRow.business_date == business_date
    )
    rows = (await session.exec(query.order_by(col(PayoutRunRow.id)))).all()
    clashes = [row for row in rows if row.currency == currency or None in {row.currency, currency}]
    return next(iter(clashes), None)


async def listed(session: AsyncSession, filters: RunFilters) -> list[PayoutRunView]:
    """One page of runs and one more, newest first."""
    query = select(PayoutRunRow)
    if filters.before_id is not None:
        query = query.where(col(PayoutRunRow.id) < filters.before_id)
    for name in ("status", "name", "business_date"):
        wanted = getattr(filters, name)
        if wanted is not None:
            query = query.where(getattr(PayoutRunRow, name) == wanted)
    if filters.created_after is not None:
        query = query.where(col(PayoutRunRow.created_at) > filters.created_after)
    if filters.created_before is not None:
        query = query.where(col(PayoutRunRow.created_at) < filters.created_before)
    query = query.order_by(col(PayoutRunRow.id).desc()).limit(filters.limit + 1)
    return await views(session, (await session.exec(query)).all())


async def items(
    session: AsyncSession, run_id: str, *, limit: int, before_id: str | None = None
) -> list[PayoutRunItemView]:
    """One page of a run's items and one more, newest first."""
    connection = await session.connection()
    values = {"run_id": run_id, "before": before_id, "limit": limit + 1}
    found = await connection.execute(sql.ITEMS, values)
    return [_item(row) for row in found]


async def view(session: AsyncSession, row: PayoutRunRow) -> PayoutRunView:
    """A run with its counts."""
    [shown] = await views(session, [row])
    return shown


async def views(session: AsyncSession, rows: Sequence[PayoutRunRow]) -> list[PayoutRunView]:
    """Runs with their counts, by one statement for all of them."""
    connection = await session.connection()
    found = await connection.execute(sql.COUNTS, {"runs": [row.id for row in rows]})
    counts: dict[str, list[Row[Any]]] = {}
    for one in found:
        counts.setdefault(one.run_id, []).append(one)
    return [_run(row, counts.get(row.id, [])) for row in rows]


def _run(row: PayoutRunRow, counts: Sequence[Row[Any]]) -> PayoutRunView:
    return PayoutRunView(
        id=row.id,
        name=row.name,
        business_date=row.business_date,
        currency=row.currency,
        status=PayoutRunStatus(row.status),
        items_count=row.items_count,
        amount_total=row.amount_total,
        paid_count=sum(one.paid for one in counts),
        failed_count=sum(one.failed for one in counts),
        amount_paid={one.currency: int(one.amount_paid) for one in counts if one.paid},
        created_by=row.created_by,
        reviewed_by=row.reviewed_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _item(row: Row[Any]) -> PayoutRunItemView:
    # An item that was made ready again waits, whatever its payout came to before.
    has_payout = row.payout_status is not None and row.state != PayoutItemState.READY
    alone = _WITHOUT_PAYOUT.get(row.state, PayoutStatus.PENDING)
    return PayoutRunItemView(
        id=row.id,
        merchant_id=row.merchant_id,
        currency=row.currency,
        amount=row.amount,
        status=PayoutStatus(row.payout_status) if has_payout else alone,
        payout_id=row.payout_id,
        failure=failure_view(row.payout_failure if has_payout else row.failure),
    )
