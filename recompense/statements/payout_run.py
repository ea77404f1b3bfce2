"""The statement of a payout run: every item with what became of it, and the sums by currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass

from recompense.statements.rendering import Amount, Row, Table

COLUMNS = ("item", "merchant_id", "payout_id", "status", "currency", "amount", "failure")
_PAID = "paid"


@dataclass(frozen=True, slots=True)
class RunItem:
    """An item of a payout run. The amount is in minor units."""

    id: str
    merchant_id: str
    currency: str
    amount: int
    status: str
    payout_id: str | None = None
    failure: str | None = None


def payout_run_statement(
    run_id: str, facts: Sequence[tuple[str, str]], items: AsyncIterable[RunItem]
) -> Table:
    """The statement of a run, its items in the order in which they are given. Only the sums are
    kept in memory.
    """
    return Table(f"Payout run {run_id}", facts, COLUMNS, _rows(items))


async def _rows(items: AsyncIterable[RunItem]) -> AsyncIterator[Row]:
    asked: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    async for item in items:
        asked[item.currency] += item.amount
        paid[item.currency] += item.amount if item.status == _PAID else 0
        yield (
            item.id,
            item.merchant_id,
            item.payout_id,
            item.status,
            item.currency,
            Amount(item.amount, item.currency),
            item.failure,
        )
    for currency in sorted(asked):
        yield _sum("total", currency, asked)
        yield _sum("total_paid", currency, paid)


def _sum(name: str, currency: str, sums: Counter[str]) -> Row:
    return (name, None, None, None, currency, Amount(sums[currency], currency), None)
