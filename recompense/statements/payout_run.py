"""The statement of a payout run: every item with what became of it, and the sums by currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator

from recompense.contracts.views import PayoutRunItemView, PayoutRunView
from recompense.domain.states import PayoutStatus
from recompense.persistence import payout_run_reads
from recompense.persistence.database import Database
from recompense.statements.rendering import Amount, Row, Table

COLUMNS = ("item", "merchant_id", "payout_id", "status", "currency", "amount", "failure")
PAGE = 100


def payout_run_statement(database: Database, run: PayoutRunView) -> Table:
    """The statement of a run: its items as they stand while it is written, the newest first."""
    return table_of(run, _items(database, run.id))


def table_of(run: PayoutRunView, items: AsyncIterable[PayoutRunItemView]) -> Table:
    """The statement of these items, in their order. Only the sums are kept in memory."""
    facts = (
        ("Run", run.name),
        ("Business date", run.business_date.isoformat()),
        ("Currency", run.currency or "all"),
        ("Status", run.status),
        ("Made by", run.created_by),
        ("Reviewed by", run.reviewed_by or "nobody"),
    )
    return Table(f"Payout run {run.id}", facts, COLUMNS, _rows(items))


async def _items(database: Database, run_id: str) -> AsyncIterator[PayoutRunItemView]:
    after: str | None = None
    while True:
        async with database.transaction() as session:
            found = await payout_run_reads.items(session, run_id, limit=PAGE, before_id=after)
        for item in found[:PAGE]:
            yield item
        if len(found) <= PAGE:
            return
        after = found[PAGE - 1].id


async def _rows(items: AsyncIterable[PayoutRunItemView]) -> AsyncIterator[Row]:
    asked: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    async for item in items:
        asked[item.currency] += item.amount
        paid[item.currency] += item.amount if item.status == PayoutStatus.PAID else 0
        yield (
            item.id,
            item.merchant_id,
            item.payout_id,
            item.status,
            item.currency,
            Amount(item.amount, item.currency),
            item.failure.message if item.failure else None,
        )
    for currency in sorted(asked):
        yield _sum("total", currency, asked)
        yield _sum("total_paid", currency, paid)


def _sum(name: str, currency: str, sums: Counter[str]) -> Row:
    return (name, None, None, None, currency, Amount(sums[currency], currency), None)
