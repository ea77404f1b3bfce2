"""The whole platform around each provider's world, for all tests of a module: real Temporal, real
PostgreSQL, the HTTP API, and the vendor's stand-in behind a proxy that can fail.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest

from recompense.persistence.migrations import upgrade
from recompense.schedules import bank_rail_schedules
from tests.conformance.cases import case_name, listed, needs_of, why_not
from tests.conformance.targets import Target
from tests.live.conftest import HASTY
from tests.live.providers.world import WORLDS, Stage, World
from tests.support.api import WEBHOOK_SECRET, make_parts, served
from tests.support.conformance_table import note_case
from tests.support.fault_proxy import FaultProxy, faulty
from tests.support.platform import Platform, ProviderSetup, running_platform
from tests.support.postgres import PostgresServer
from tests.support.sandbox import Sandbox, free_port, running_sandbox
from tests.support.temporal import running_temporal

NO_FAULT = "none"


def world_database(postgres_server: PostgresServer) -> str:
    """A migrated database of its own for a world."""
    name = f"world_{uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres_server.url(name)
    upgrade(url)
    return url


@pytest.fixture(scope="session", params=sorted(WORLDS))
def running_stage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
) -> Iterator[Stage]:
    """A platform that serves one world's provider by default, and the sandbox beside it.

    It lives through many tests, so it has a Temporal server of its own: its workers must not take
    the tasks of another test's platform.
    """
    world_database_url = world_database(postgres_server)
    directory, port = tmp_path_factory.mktemp("world"), free_port()
    webhooks = f"http://127.0.0.1:{port}/webhooks/{request.param.partition('@')[0]}"
    with (
        running_temporal(directory) as temporal_address,
        WORLDS[request.param](directory, webhooks) as world,
        running_sandbox(
            directory / "beside.sqlite3",
            webhook_url="http://127.0.0.1:9/",
            webhook_secret=WEBHOOK_SECRET,
        ) as sandbox,
    ):
        proxy = FaultProxy(world.target.base_url or "", NO_FAULT, world.target.moves_money)
        default = world.target.provider
        with served(
            lambda: make_parts(
                world_database_url,
                temporal_address,
                beside={default: world.target.config()},
                default_provider=default,
            ),
            lambda: _workers(temporal_address, world_database_url, sandbox, world, proxy),
            port=port,
        ) as api:
            api.database_url = world_database_url
            api.temporal_address = temporal_address
            yield Stage(api, world, proxy)


@asynccontextmanager
async def _workers(
    temporal_address: str, database_url: str, sandbox: Sandbox, world: World, proxy: FaultProxy
) -> AsyncIterator[Platform]:
    """The workers, whose calls to the world's provider go through the proxy where it is HTTP."""
    target = world.target
    async with faulty(proxy) as base_url:
        config = target.config(base_url if target.base_url is not None else None)
        async with running_platform(
            temporal_address,
            database_url,
            sandbox,
            policy_overrides=HASTY,
            beside={target.provider: ProviderSetup(config, world.policies)},
            default_provider=target.provider,
        ) as platform:
            async with _rail(platform, target):
                yield platform


@asynccontextmanager
async def _rail(platform: Platform, target: Target) -> AsyncIterator[None]:
    """The schedules of a bank rail, whose window closes every second."""
    rails = [target.provider] if target.capabilities.batch_payouts else []
    planned = bank_rail_schedules(rails, 1, 1)
    for schedule in planned:
        await platform.client.create_schedule(schedule.schedule_id, schedule.schedule())
    yield
    for schedule in planned:
        await platform.client.get_schedule_handle(schedule.schedule_id).delete()


@pytest.fixture
def stage(running_stage: Stage, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """The platform, for a case that its provider can be asked. The others are told in the table."""
    item: pytest.Item = request.node
    target = running_stage.target
    case = case_name(item, target.name)
    parameters = getattr(item, "callspec").params  # noqa: B009 - only parametrised items have one
    note_case(item, f"{target.name}, live", case)
    ruled_out = why_not(target, case, needs_of(item, parameters))
    if ruled_out is not None:
        pytest.skip(f"n/a: {ruled_out}")
    fault = listed(target.known_faults, case)
    if fault is not None:
        request.applymarker(pytest.mark.xfail(reason=fault, strict=True))
    running_stage.meets(NO_FAULT)
    yield running_stage
    running_stage.meets(NO_FAULT)
