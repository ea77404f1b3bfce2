"""Postings a second: through the ledger's repository, and inserted directly by psycopg."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from benchmarks.bench import Bench
from benchmarks.controls import raw
from benchmarks.controls.call import AMOUNT, CURRENCY
from benchmarks.lab import open_lab
from benchmarks.load import Ask
from benchmarks.parts.authorize import rates, series
from benchmarks.rounds import interleaved, warm_up
from benchmarks.statistics import ratios
from recompense.domain.ids import IdPrefix, new_id
from recompense.ledger import templates
from recompense.ledger.accounts import merchant_pending, provider_clearing
from recompense.persistence import ledger
from recompense.persistence.database import Database

WRITERS = (1, 8, 32)
MERCHANTS = 1000
PROVIDERS = 1000
HOT = "sandbox"


async def measure(bench: Bench) -> None:
    """Ratio to raw inserts at 1, 8 and 32 writers, and what one hot provider account costs."""
    bench.told("starting the stack")
    async with open_lab(without=("temporal", "sandbox", "codec", "api", "workers")) as lab:
        url = lab.stack.database_url
        async with _asks(url) as asks:
            await warm_up(asks, bench.told)
            cells = await interleaved(
                asks,
                WRITERS,
                rounds=bench.rounds,
                seconds=bench.seconds / 2,
                groups={"PostgreSQL": lab.process_groups()["PostgreSQL"]},
                told=bench.told,
            )
    for writers in WRITERS:
        bench.note(f"ledger.{writers}.raw", rates(cells, "hot account", "raw", writers))
    hot, spread_out = (
        [cell.rate for cell in cells[name, WRITERS[-1]]] for name in ("hot account", "many")
    )
    bench.note("ledger.hot", ratios(spread_out, hot))
    bench.result.series["ledger"] = series(cells)


@asynccontextmanager
async def _asks(url: str) -> AsyncIterator[dict[str, Ask]]:
    async with AsyncExitStack() as stack:
        database = Database(url, pool_size=max(WRITERS))
        stack.push_async_callback(database.close)
        connections = []
        for _ in range(max(WRITERS)):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            connections.append(await stack.enter_async_context(connection))
        yield {
            "hot account": _posting(database, lambda: HOT),
            "raw": _raw(connections, lambda: HOT),
            "many": _posting(database, _in_turn("provider", PROVIDERS)),
        }


def _posting(database: Database, provider: Callable[[], str]) -> Ask:
    merchant = _in_turn("mer_bench", MERCHANTS)

    async def ask() -> None:
        payment_id = new_id(IdPrefix.PAYMENT)
        posting = templates.authorized(
            f"{payment_id}:authorize:1",
            payment_id=payment_id,
            provider=provider(),
            merchant_id=merchant(),
            amount=AMOUNT,
            currency=CURRENCY,
        )
        async with database.engine.begin() as connection:
            await ledger.post(connection, posting)

    return ask


def _raw(connections: list[psycopg.AsyncConnection], provider: Callable[[], str]) -> Ask:
    merchant = _in_turn("mer_bench", MERCHANTS)
    idle = list(connections)

    async def ask() -> None:
        connection = idle.pop()
        try:
            debit, credit = provider_clearing(provider()), merchant_pending(merchant())
            await raw.hold(connection, new_id(IdPrefix.PAYMENT), debit, credit, AMOUNT)
        finally:
            idle.append(connection)

    return ask


def _in_turn(name: str, count: int) -> Callable[[], str]:
    numbers = itertools.cycle(range(count))
    return lambda: f"{name}{next(numbers)}"
