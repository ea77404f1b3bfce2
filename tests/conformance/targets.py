"""What the conformance suite needs of each provider: a live vendor, whose faults can be scripted
and whose effects counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.sandbox import Sandbox, running_sandbox


@dataclass(frozen=True)
class Target:
    """A live vendor.

    `vendor` scripts it and counts its effects; `config(url)` configures an adapter to reach it at
    `url`.
    """

    name: str
    vendor: Sandbox
    good_token: str
    declined_token: str
    action_token: str

    @property
    def port(self) -> int:
        """The vendor's port on 127.0.0.1."""
        return urlsplit(self.vendor.base_url).port or 0

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """The adapter's configuration."""
        secrets = [self.vendor.webhook_secret]
        return {"base_url": base_url or self.vendor.base_url, "webhook_secrets": secrets}


@contextlib.contextmanager
def _sandbox(directory: Path) -> Iterator[Target]:
    with running_sandbox(
        directory / "sandbox.sqlite3",
        pending_delay_ms=150,
        payout_delay_ms=150,
        return_delay_ms=150,
        hold_ms=20_000,
    ) as vendor:
        yield Target("sandbox", vendor, "tok_ok", "tok_declined", "tok_3ds")


TARGETS: dict[str, Callable[[Path], AbstractContextManager[Target]]] = {"sandbox": _sandbox}
