"""Policies as the provider feels them: the bulkhead, the rate, the breaker with its probes; and as
people see them, in the history.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from activities.breakers import BreakerTable
from adapters.breaker import BreakerPhase, OperationClass
from recompense.persistence.database import Database
from tests.live.conftest import HASTY
from tests.support.fault_proxy import FaultProxy, faulty
from tests.support.platform import Platform, ProviderSetup, authorize_input, running_platform
from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.scenes import eventually
from workflows.authorize import AuthorizePayment

PAYMENTS = 8


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "vendor.sqlite3", webhook_url="http://127.0.0.1:9/") as running:
        yield running


@asynccontextmanager
async def watched(
    temporal_address: str, database_url: str, vendor: Sandbox, policies: Mapping[str, Any]
) -> AsyncIterator[tuple[Platform, FaultProxy]]:
    """A platform whose provider is reached through a proxy that counts."""
    proxy = FaultProxy(vendor.base_url, "slow", lambda method, _: method == "POST", times=-1)
    async with faulty(proxy) as base_url:
        reached = {"base_url": base_url, "webhook_secrets": [vendor.webhook_secret]}
        setup = ProviderSetup(reached, {**HASTY, **policies}, adapter="sandbox")
        async with running_platform(
            temporal_address,
            database_url,
            vendor,
            beside={"watched": setup},
            default_provider="watched",
        ) as platform:
            yield platform, proxy


async def paid(platform: Platform, count: int = PAYMENTS) -> None:
    payments = [authorize_input() for _ in range(count)]
    decided = await asyncio.gather(*(platform.decide(AuthorizePayment, one) for one in payments))
    assert {one.resource.status for one in decided} == {"authorized"}


async def test_bulkhead_lets_so_many_calls_through_at_once(
    temporal_address: str, database_url: str, vendor: Sandbox
) -> None:
    limits = {"maximum_concurrency": 2}
    async with watched(temporal_address, database_url, vendor, limits) as (platform, proxy):
        proxy.delay_ms = 100
        await paid(platform)
        assert proxy.most_at_once <= 2
        assert proxy.fired == PAYMENTS


async def test_rate_limit_spreads_calls(
    temporal_address: str, database_url: str, vendor: Sandbox
) -> None:
    limits = {"rate_limit_per_second": 4}
    async with watched(temporal_address, database_url, vendor, limits) as (platform, proxy):
        started = time.monotonic()
        await paid(platform)
        assert proxy.fired == PAYMENTS
        # A burst of one second's worth may go at once; the rest cannot.
        assert time.monotonic() - started >= (PAYMENTS - 4) / 4 - 0.5


async def test_breaker_opens_probes_and_closes_with_health(
    temporal_address: str, database_url: str, vendor: Sandbox
) -> None:
    limits = {
        "breaker": {"failure_threshold": 2, "recovery_seconds": 1, "half_open_probes": 1},
        "calls": {"*": {"maximum_attempts": 2}, "lookup": {"maximum_attempts": 3}},
    }
    async with watched(temporal_address, database_url, vendor, limits) as (platform, proxy):
        table = BreakerTable(platform.database)

        async def phase() -> BreakerPhase:
            return (await table.load("watched", OperationClass.CARDS)).phase

        proxy.fault = "unavailable"
        sagas = [authorize_input() for _ in range(3)]
        decided = await asyncio.gather(*(platform.decide(AuthorizePayment, one) for one in sagas))
        assert {one.resource.status for one in decided} == {"failed"}
        assert await phase() in (BreakerPhase.OPEN, BreakerPhase.HALF_OPEN)
        assert vendor.effects() == []
        proxy.fault, proxy.delay_ms = "slow", 0
        healthy = await platform.decide(AuthorizePayment, authorize_input())
        assert healthy.resource.status in ("authorized", "failed")

        async def closes() -> bool:
            await platform.decide(AuthorizePayment, authorize_input())
            return await phase() is BreakerPhase.CLOSED

        await eventually(closes)
        other_worker = Database(database_url)
        other = BreakerTable(other_worker)
        assert (await other.load("watched", OperationClass.CARDS)).phase is BreakerPhase.CLOSED
        await other_worker.close()


async def test_policy_in_force_stands_in_the_history(
    temporal_address: str, database_url: str, vendor: Sandbox
) -> None:
    limits = {"absent_is_final_after_seconds": 1.25}
    async with watched(temporal_address, database_url, vendor, limits) as (platform, _):
        payment = authorize_input()
        await platform.decide(AuthorizePayment, payment)
        history = (await platform.handle(payment).fetch_history()).to_json()
        scheduled = [event for event in history.split('"eventId"') if "provider.authorize" in event]
        assert len(scheduled) == 1
        marker = await platform.rows("SELECT decision FROM attempts")
        effect = marker[0]["decision"]["effect"]
        assert effect["terms"]["absent_is_final_after_seconds"] == 1.25
        assert effect["policy"]["maximum_attempts"] == 2
