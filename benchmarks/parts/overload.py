"""Overload: more is offered than can be done. What is accepted is quick and kept, the rest is told
when to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import SETTINGS, Lab, open_lab
from benchmarks.load import closed_loop
from benchmarks.statistics import percentile
from benchmarks.subjects import payment, platform_ask
from recompense.domain.ids import IdPrefix, new_id

PLACES = 4
"""What this machine answers in three times the unloaded latency."""
UNLOADED_IN_FLIGHT = 1
CAPACITY_IN_FLIGHT = PLACES
TIMES_CAPACITY = 3.0
SETTLING_SECONDS = 30.0
LOST_SAMPLE = 200
SHED = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
ACCEPTED = (httpx.codes.CREATED, httpx.codes.ACCEPTED)


@dataclass
class Offered:
    """What became of what was offered."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    shed: int = 0
    shed_with_retry_after: int = 0


async def measure(bench: Bench) -> None:
    """Offer three times the capacity, and account for every request."""
    bench.told("starting the stack")
    settings = {**SETTINGS, "RECOMPENSE_API_MAX_IN_FLIGHT": str(PLACES)}
    async with open_lab(settings=settings) as lab, async_client(lab.stack.api_url) as api:
        token = lab.stack.tokens.backend
        ask = platform_ask([api], token)
        bench.told("warming up")
        await closed_loop(ask, PLACES, bench.seconds, {})
        bench.told("unloaded")
        quiet = await closed_loop(ask, UNLOADED_IN_FLIGHT, bench.seconds, {})
        bench.told("capacity")
        capacity = (await closed_loop(ask, CAPACITY_IN_FLIGHT, bench.seconds, {})).rate
        bench.told(f"offering {TIMES_CAPACITY * capacity:.0f} a second")
        offered = await _offer(api, token, TIMES_CAPACITY * capacity, 2 * bench.seconds)
        bench.told("looking for what was accepted")
        lost = await _lost(api, lab, offered.accepted)
    unloaded = percentile(quiet.latencies, 95)
    if offered.latencies:
        loaded = percentile(offered.latencies, 95)
        bench.note("overload.latency", loaded / unloaded, f"{1000 * loaded:.0f} ms")
    shed = f"{offered.shed} of {offered.statuses.total()} were shed"
    if offered.shed:
        share = offered.shed_with_retry_after / offered.shed
        bench.note("overload.retry_after", share, shed)
    bench.note("overload.accepted", len(offered.accepted) / (2 * bench.seconds) / capacity, shed)
    bench.note("overload.lost", lost)
    bench.result.series["overload"] = dict(offered.statuses)


async def _offer(api: httpx.AsyncClient, token: str, rate: float, seconds: float) -> Offered:
    """Open loop: requests come at their own pace, however slow the answers are."""
    offered, begun, number = Offered(), time.perf_counter(), 0
    async with asyncio.TaskGroup() as requests:
        while (now := time.perf_counter() - begun) < seconds:
            while number < now * rate:
                requests.create_task(_one(api, token, offered))
                number += 1
            await asyncio.sleep(0.005)
    return offered


async def _one(api: httpx.AsyncClient, token: str, offered: Offered) -> None:
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": new_id(IdPrefix.PAYMENT),
    }
    begun = time.perf_counter()
    try:
        answer = await api.post("/v1/payments", json=payment(), headers=headers, timeout=60)
    except httpx.HTTPError as error:
        offered.statuses[type(error).__name__] += 1
        return
    offered.statuses[str(answer.status_code)] += 1
    if answer.status_code in ACCEPTED:
        offered.latencies.append(time.perf_counter() - begun)
        offered.accepted.append(answer.json()["id"])
    elif answer.status_code in SHED:
        offered.shed += 1
        offered.shed_with_retry_after += "retry-after" in answer.headers


async def _lost(api: httpx.AsyncClient, lab: Lab, accepted: list[str]) -> int:
    """How many of the accepted are not authorized in the end."""
    headers = {"Authorization": f"Bearer {lab.stack.tokens.backend}"}
    open_still, until = set(accepted), time.monotonic() + SETTLING_SECONDS
    while open_still and time.monotonic() < until:
        for payment_id in list(open_still)[:LOST_SAMPLE]:
            found = await api.get(f"/v1/payments/{payment_id}", headers=headers)
            if found.is_success and found.json()["status"] == "authorized":
                open_still.discard(payment_id)
        await asyncio.sleep(0.1)
    return len(open_still)
