"""Fixtures of the edge tier: the API over HTTP on real parts, shared by the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from recompense.persistence.migrations import upgrade
from tests.support.api import Api, make_parts, served
from tests.support.database import database_url, engine, postgres_server
from tests.support.platform import running_platform
from tests.support.postgres import PostgresServer
from tests.support.sandbox import Sandbox, running_sandbox
from tests.support.temporal import running_temporal

__all__ = ["database_url", "engine", "postgres_server"]

SHORT_POLICIES: dict[str, Any] = {
    "calls": {
        "*": {
            "connect_timeout_seconds": 0.5,
            "read_timeout_seconds": 1,
            "start_to_close_seconds": 3,
            "schedule_to_close_seconds": 6,
            "initial_interval_seconds": 0.1,
            "maximum_interval_seconds": 0.25,
            "maximum_attempts": 2,
        },
        # A moment's stall of the machine must not end a series of look-ups, and park its saga.
        "lookup": {"maximum_attempts": 4},
    },
    "send_right_seconds": 1.5,
    "absent_is_final_after_seconds": 1,
}
"""Faults play out within seconds."""


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Temporal dev server for the session."""
    with running_temporal(tmp_path_factory.mktemp("temporal")) as address:
        yield address


@pytest.fixture(scope="session")
def edge_database_url(postgres_server: PostgresServer) -> str:
    """One migrated database for the session."""
    name = f"edge_{uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres_server.url(name)
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox provider for the session."""
    data_file = tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3"
    with running_sandbox(data_file, webhook_url="http://127.0.0.1:9/", pending_delay_ms=300) as one:
        yield one


@pytest.fixture(scope="session")
def api(temporal_address: str, edge_database_url: str, sandbox: Sandbox) -> Iterator[Api]:
    """The API, with workers that carry its sagas."""
    with served(
        lambda: make_parts(edge_database_url, temporal_address),
        lambda: running_platform(
            temporal_address, edge_database_url, sandbox, policy_overrides=SHORT_POLICIES
        ),
    ) as running:
        running.database_url = edge_database_url
        running.temporal_address = temporal_address
        yield running
