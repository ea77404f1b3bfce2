"""Fixtures of the live tier: real parts only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import database_url, engine, postgres_server
from tests.support.platform import Platform, running_platform
from tests.support.sandbox import running_sandbox
from tests.support.temporal import running_temporal

__all__ = ["database_url", "engine", "postgres_server"]


HASTY: dict[str, Any] = {
    "calls": {
        "*": {"maximum_attempts": 2},
        "lookup": {"maximum_attempts": 3, "schedule_to_close_seconds": 7},
    },
    "pending": {
        "authorize": {"action_poll_interval_seconds": 1, "poll_interval_seconds": 1},
        "create_payout": {"poll_interval_seconds": 1},
    },
    "send_right_seconds": 2,
    "absent_is_final_after_seconds": 1,
}
"""Fewer tries and shorter waits than the sandbox ships with; the timeouts of a call stay."""


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Temporal dev server for the session."""
    with running_temporal(tmp_path_factory.mktemp("temporal")) as address:
        yield address


@pytest.fixture
async def platform(
    temporal_address: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    """A platform of this test's own, with policies that tell a story's end within seconds."""
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=300
    ) as sandbox:
        async with running_platform(
            temporal_address, database_url, sandbox, policy_overrides=HASTY
        ) as running:
            yield running


@pytest.fixture
async def patient_platform(
    temporal_address: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    """A platform with the sandbox's policies as they are shipped."""
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=300
    ) as sandbox:
        async with running_platform(temporal_address, database_url, sandbox) as running:
            yield running
