"""Stripe, stood in for by localstripe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.vendors.stripe import WEBHOOK_SECRET, StripeTarget
from tests.live.providers.world import PAYER_MAY_TAKE, World, WorldFactory
from tests.support.localstripe import running_localstripe

_SOON = {"poll_interval_seconds": 0.3, "maximum_poll_interval_seconds": 1, "deadline_seconds": 60}
_CALL = {
    "connect_timeout_seconds": 1,
    "read_timeout_seconds": 2,
    "start_to_close_seconds": 12,
    "schedule_to_close_seconds": 25,
    "initial_interval_seconds": 0.25,
    "maximum_interval_seconds": 2,
    "maximum_attempts": 4,
}
_POLICIES: dict[str, Any] = {
    "calls": {"*": _CALL, "lookup": {"maximum_attempts": 3}},
    "pending": {"authorize": PAYER_MAY_TAKE, "create_payout": _SOON},
    "send_right_seconds": 2,
    "clock_skew_seconds": 0.2,
    "absent_is_final_after_seconds": 1,
}
"""Stripe's own waits are those of a bank and of a search index that lags; stories end sooner."""


@contextlib.contextmanager
def _stripe(_directory: Path, webhook_url: str) -> Iterator[World]:
    with running_localstripe() as vendor:
        vendor.send_webhooks_to(webhook_url, WEBHOOK_SECRET)
        yield World(StripeTarget(vendor), _POLICIES)


WORLDS: dict[str, WorldFactory] = {"stripe": _stripe}
