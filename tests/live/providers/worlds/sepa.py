"""A bank behind a folder: payouts leave in files, and come true by files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.vendors.sepa import SepaTarget
from tests.live.providers.world import World, WorldFactory
from tests.support.bank import Bank

_SOON = {
    "pending": {
        "create_payout": {
            "poll_interval_seconds": 0.5,
            "maximum_poll_interval_seconds": 1,
            "deadline_seconds": 120,
        }
    }
}


@contextlib.contextmanager
def _sepa(directory: Path, _webhook_url: str) -> Iterator[World]:
    yield World(SepaTarget(Bank(directory / "bank")), _SOON)


WORLDS: dict[str, WorldFactory] = {"sepa": _sepa}
