"""The sandbox as one provider among others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.vendors.sandbox import SandboxTarget
from tests.live.conftest import HASTY
from tests.live.providers.world import PAYER_MAY_TAKE, World, WorldFactory
from tests.support.sandbox import running_sandbox

_POLICIES = {**HASTY, "pending": {**HASTY["pending"], "authorize": PAYER_MAY_TAKE}}


@contextlib.contextmanager
def _sandbox(directory: Path, webhook_url: str) -> Iterator[World]:
    with running_sandbox(
        directory / "world.sqlite3",
        webhook_url=webhook_url,
        pending_delay_ms=300,
        payout_delay_ms=300,
    ) as vendor:
        vendor.webhook_mode("duplicate")
        yield World(SandboxTarget(vendor), _POLICIES)


WORLDS: dict[str, WorldFactory] = {"sandbox": _sandbox}
