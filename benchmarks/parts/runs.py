"""Payout runs: what an item of a long run costs against one of a short run, and the workers'
memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import psutil

from benchmarks.bench import OF_THE_BARS, Bench
from benchmarks.controls.call import CURRENCY, async_client
from benchmarks.lab import Lab, open_lab
from benchmarks.merchant import Merchant
from recompense.domain.ids import IdPrefix, new_id
from recompense.ledger.accounts import merchant_available, provider_clearing
from recompense.ledger.postings import Phase, Posting, Transfer, posting_key
from recompense.persistence import ledger
from recompense.persistence.database import Database
from recompense.persistence.tables import Merchant as MerchantRow

SHORT = 100
BETWEEN = 300
BUSINESS_DATE = "2026-11-27"
AMOUNT = 700
SAMPLE_SECONDS = 0.5
PATIENCE_SECONDS = 3_600.0
MEGABYTE = 2**20


async def measure(bench: Bench) -> None:
    """Time for each item of a long run to that of a short one, and the largest worker."""
    long = bench.sizes.items
    async with open_lab() as lab, async_client(lab.stack.api_url) as api:
        await _paid(bench, lab, api, "warm-up", SHORT)
        paid = {
            items: await _paid(bench, lab, api, f"of-{items}", items)
            for items in sorted({SHORT, min(BETWEEN, long), long})
        }
    seconds, memory = paid[long]
    note = "" if long == OF_THE_BARS.items else f"with {long:,} items"
    smaller = long < OF_THE_BARS.items
    ratio = (seconds / long) / (paid[SHORT][0] / SHORT)
    bench.note("runs.item", ratio, note, smaller=smaller)
    bench.note("runs.rate", long / seconds, note)
    bench.note("runs.memory", memory / MEGABYTE, note, smaller=smaller)
    bench.result.series["runs"] = [
        {
            "items": items,
            "item_ms": round(1000 * seconds / items, 2),
            "megabytes": round(memory / MEGABYTE, 1),
        }
        for items, (seconds, memory) in paid.items()
    ]


async def _paid(
    bench: Bench, lab: Lab, api: httpx.AsyncClient, name: str, items: int
) -> tuple[float, int]:
    """Pay a run of so many items: seconds from its approval to its end, and the most memory that
    one worker took.
    """
    bench.told(f"{name}: making {items} merchants")
    await _merchants(lab, name, items)
    caller = Merchant(api, lab.stack)
    body = {"name": name, "business_date": BUSINESS_DATE}
    run = await caller.post("/v1/payout-runs", body, token=lab.stack.tokens.finance)
    path = f"/v1/payout-runs/{run['id']}"
    bench.told(f"{name}: paying {items} items")
    async with _most_memory(lab) as most:
        began = time.monotonic()
        await caller.post(f"{path}/approve", {}, token=lab.stack.tokens.admin)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await _is_paid(lab, api, path):
                await asyncio.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - began
    return seconds, max(most)


async def _is_paid(lab: Lab, api: httpx.AsyncClient, path: str) -> bool:
    headers = {"Authorization": f"Bearer {lab.stack.tokens.finance}"}
    run = (await api.get(path, headers=headers)).json()
    return bool(run["status"] == "completed" and run["paid_count"] == run["items_count"])


@asynccontextmanager
async def _most_memory(lab: Lab) -> AsyncIterator[list[int]]:
    most = [0]

    async def sample() -> None:
        while True:
            for pid in lab.stack.pids.workers:
                most.append(psutil.Process(pid).memory_info().rss)
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample())
    try:
        yield most
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


async def _merchants(lab: Lab, name: str, count: int) -> None:
    database = Database(lab.stack.database_url)
    gate = asyncio.Semaphore(8)

    async def one() -> None:
        async with gate, database.transaction() as session:
            row = _merchant(name)
            session.add(row)
            await session.flush()
            await ledger.post(session, _money(row.id))

    await asyncio.gather(*(one() for _ in range(count)))
    await database.close()


def _merchant(schedule: str) -> MerchantRow:
    return MerchantRow(
        id=new_id(IdPrefix.MERCHANT),
        name="A merchant of the benchmarks",
        country="DE",
        payout={
            "schedule": schedule,
            "destination": {"type": "bank_token", "token": "tok_ok"},
        },
        created_by="bench",
    )


def _money(merchant_id: str) -> Posting:
    made = Transfer(
        provider_clearing("sandbox"),
        merchant_available(merchant_id),
        AMOUNT,
        CURRENCY,
        Phase.POSTED,
    )
    return Posting(posting_key(merchant_id, "bench", 1), (made,))
