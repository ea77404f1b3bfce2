"""What `/metrics` says of the watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from adapters.shadow import SAME, ShadowReport
from api.watching import Watching
from recompense.contracts.provider import ProviderOperation
from recompense.observability import ShadowMetrics, WatchMetrics, WebhookMetrics
from recompense.persistence.database import Database
from recompense.shadows import ShadowReadings

ALWAYS, HOURLY = 0.0, 3600.0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database whose pool has one connection: the watch may need no more."""
    database = Database(database_url, pool_size=1)
    yield database
    await database.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of this test's own."""
    return CollectorRegistry()


@pytest.fixture
def watching(registry: CollectorRegistry) -> Watching:
    """A watch that was never asked."""
    return Watching(WatchMetrics(registry), WebhookMetrics(registry), ShadowMetrics(registry))


def _drop_a_guard(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TRIGGER ledger_seals_no_change ON ledger_seals")


def _sample(registry: CollectorRegistry, gauge: str, watch: str = "guards") -> float | None:
    return registry.get_sample_value(f"recompense_watch_{gauge}", {"watch": watch})


async def _refresh(watching: Watching, database: Database, interval_seconds: float) -> None:
    await watching.refresh(database, interval_seconds=interval_seconds, stuck_after_seconds=900)


async def test_gauges_show_a_planted_violation(
    watching: Watching, registry: CollectorRegistry, database: Database, database_url: str
) -> None:
    await _refresh(watching, database, ALWAYS)
    assert [_sample(registry, one) for one in ("answered", "found", "wrong")] == [1, 0, 0]
    _drop_a_guard(database_url)
    await _refresh(watching, database, ALWAYS)
    assert [_sample(registry, one) for one in ("answered", "found", "wrong")] == [1, 1, 1]
    assert _sample(registry, "wrong", "payments") == 0


async def test_tries_of_webhooks_are_counted_by_outcome(
    watching: Watching, registry: CollectorRegistry, database: Database, database_url: str
) -> None:
    def counted(outcome: str) -> float | None:
        return registry.get_sample_value("recompense_webhook_tries_total", {"outcome": outcome})

    await _refresh(watching, database, ALWAYS)
    assert counted("delivered") == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE webhook_tallies SET tries = 3 WHERE outcome = 'rejected'")
    await _refresh(watching, database, ALWAYS)
    assert (counted("delivered"), counted("rejected")) == (0, 3)


async def test_answers_of_shadows_are_counted_by_agreement_over_restarts(
    watching: Watching, registry: CollectorRegistry, database: Database
) -> None:
    def counted(agreement: str, operation: str = "authorize") -> float | None:
        labels = {"provider": "stripe", "candidate": "next", "operation": operation}
        name = "recompense_shadow_answers_total"
        return registry.get_sample_value(name, {**labels, "agreement": agreement})

    await _refresh(watching, database, ALWAYS)
    assert (counted("same"), counted("different")) == (None, None)
    kinds = (SAME, "approved is read as pending", "approved differs in reference")
    for _ in range(2):
        readings = ShadowReadings()
        for difference in kinds:
            operation = ProviderOperation.AUTHORIZE
            readings.note(
                ShadowReport("stripe", "next", operation, "pay_1:authorize:1", difference)
            )
        await readings.write(database.engine)
    await _refresh(watching, database, ALWAYS)
    assert (counted("same"), counted("different"), counted("same", "void")) == (2, 4, None)


async def test_scrapes_within_the_interval_ask_once(
    watching: Watching, registry: CollectorRegistry, database: Database, database_url: str
) -> None:
    await asyncio.gather(*(_refresh(watching, database, HOURLY) for _ in range(8)))
    _drop_a_guard(database_url)
    await _refresh(watching, database, HOURLY)
    assert _sample(registry, "found") == 0


async def test_database_that_is_away_is_shown_and_keeps_the_last_samples(
    watching: Watching, registry: CollectorRegistry, database: Database, database_url: str
) -> None:
    _drop_a_guard(database_url)
    await _refresh(watching, database, ALWAYS)
    away = Database("postgresql://someone@127.0.0.1:1/nowhere")
    await _refresh(watching, away, ALWAYS)
    assert [_sample(registry, one) for one in ("answered", "found", "wrong")] == [0, 1, 1]
    await away.close()
