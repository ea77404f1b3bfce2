"""Growth: the same authorization with few and many payments, merchants, and a hot merchant."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import psycopg
from psycopg import sql

from benchmarks import filling
from benchmarks.bench import OF_THE_BARS, Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import Lab, controls, open_lab
from benchmarks.load import Ask
from benchmarks.merchant import Merchant
from benchmarks.rounds import Cells, interleaved, warm_up
from benchmarks.statistics import Spread, percentile, ratios
from benchmarks.subjects import platform_ask, subjects
from recompense.persistence.database import Database
from recompense.persistence.sealer import snapshot_once

QUIET, BUSY = 1, 8
LEVELS = (QUIET, BUSY)
FEW = 1_000
FAR = 100_000
SEALING_SECONDS = 240


async def measure(bench: Bench) -> None:
    """Ratios between 10^3 and the most payments, each to bare in the same round."""
    bench.told("starting the stack and bare")
    measured: dict[int, Cells] = {}
    async with (
        open_lab() as lab,
        controls(lab, "bare"),
        subjects(lab, "platform", "bare") as asks,
        async_client(lab.stack.api_url) as api,
    ):
        pattern = await Merchant(api, lab.stack).authorize()
        await warm_up(asks, bench.told)
        copies = await asyncio.to_thread(_prepare, lab, pattern)
        filled = 0
        for size in _sizes(bench.sizes.payments):
            await _fill(bench, lab, copies, filled + 1, size)
            filled = size
            measured[size] = await _measure(bench, lab, asks, LEVELS, f"{size} payments")
        token = lab.stack.tokens.admin
        spread_out: dict[str, Ask] = {
            "platform": platform_ask([api], token, lambda: filling.HOT_MERCHANT),
            "ten": platform_ask([api], token, _any_of(10)),
            "many": platform_ask([api], token, _any_of(filling.MERCHANTS)),
        }
        where = f"{bench.sizes.payments} payments"
        merchants = await _measure(bench, lab, spread_out, (BUSY,), where)
    _note(bench, measured, merchants)


def _sizes(most: int) -> list[int]:
    """A thousand and the most; where that is far away, a tenth of it between them for the plot."""
    return sorted({FEW, most, *([most // 10] if most > FAR else [])})


async def _measure(
    bench: Bench, lab: Lab, asks: dict[str, Ask], levels: tuple[int, ...], where: str
) -> Cells:
    return await interleaved(
        asks,
        levels,
        rounds=min(bench.rounds, 2),
        seconds=bench.seconds,
        groups=lab.process_groups(),
        told=lambda what: bench.told(f"{where}, {what}"),
    )


def _prepare(lab: Lab, pattern: str) -> list[sql.Composed]:
    with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
        filling.fill_merchants(connection)
        return filling.insertions(connection, pattern)


async def _fill(bench: Bench, lab: Lab, copies: list[sql.Composed], first: int, last: int) -> None:
    def fill(first: int, last: int) -> None:
        with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
            filling.fill_payments(
                connection, copies, first, last, lambda n: bench.told(f"filled to {n} payments")
            )

    def vacuum() -> None:
        with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")

    middle = (first + last) // 2
    async with asyncio.TaskGroup() as halves:
        halves.create_task(asyncio.to_thread(fill, first, middle))
        halves.create_task(asyncio.to_thread(fill, middle + 1, last))
    bench.told("vacuum")
    await asyncio.to_thread(vacuum)
    bench.told("the ledger is being sealed")
    async with asyncio.timeout(SEALING_SECONDS):
        while not await asyncio.to_thread(_is_at_rest, lab):
            await _take_snapshots(lab)
            await asyncio.sleep(0.5)
    await asyncio.to_thread(_checkpoint, lab)


def _is_at_rest(lab: Lab) -> bool:
    with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
        return filling.is_at_rest(connection)


async def _take_snapshots(lab: Lab) -> None:
    """What the filling has made due, now: the workers would do it a minute later, while it is
    measured.
    """
    database = Database(lab.superuser_url())
    taken = 1
    while taken:
        async with database.engine.begin() as connection:
            taken = await snapshot_once(connection, every=1)
    await database.close()


def _checkpoint(lab: Lab) -> None:
    with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _any_of(count: int) -> Callable[[], str]:
    chosen = random.Random(1)  # noqa: S311 - the same merchants in each run
    return lambda: f"mer_{chosen.randrange(count):012d}"


def _note(bench: Bench, measured: dict[int, Cells], merchants: Cells) -> None:
    few, most = min(measured), max(measured)
    note = "" if most == OF_THE_BARS.payments else f"with {most:,} payments"
    for figure, cost in (("p50.1", _p50), ("time.8", _time_each)):
        ratio = ratios(cost(measured[most]), cost(measured[few]))
        bench.note(f"growth.{figure}", ratio, note, smaller=most < OF_THE_BARS.payments)
    bench.note("growth.postgres", _postgres(measured[most], measured[few]), note)
    hot = [cell.rate for cell in merchants["platform", BUSY]]
    for name in ("ten", "many"):
        rates = [cell.rate for cell in merchants[name, BUSY]]
        bench.note(f"growth.merchants.{name}", ratios(hot, rates), note)
    bench.result.series["growth"] = [
        {"payments": size, "p50_to_bare": _p50(cells), "time_to_bare": _time_each(cells)}
        for size, cells in measured.items()
    ]


def _p50(cells: Cells) -> list[float]:
    """p50 at 1 in flight, as a ratio to bare in the same round."""
    ours, bare = (
        [percentile(cell.latencies, 50) for cell in cells[name, QUIET]]
        for name in ("platform", "bare")
    )
    return [a / b for a, b in zip(ours, bare, strict=True)]


def _time_each(cells: Cells) -> list[float]:
    """Time for each authorization at 8 in flight, as a ratio to bare in the same round."""
    pairs = zip(cells["platform", BUSY], cells["bare", BUSY], strict=True)
    return [bare.rate / ours.rate for ours, bare in pairs]


def _postgres(most: Cells, few: Cells) -> Spread:
    """PostgreSQL's CPU for each authorization."""
    return ratios(
        *(
            [cell.cpu_each("PostgreSQL") for cell in cells["platform", BUSY]]
            for cells in (most, few)
        )
    )
