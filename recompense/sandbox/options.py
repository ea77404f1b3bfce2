"""What the sandbox can be told when it is started, on the command line or by `RECOMPENSE_SANDBOX_*`
variables.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

_ENVIRONMENT_PREFIX = "RECOMPENSE_SANDBOX_"

_HELP = {
    "host": "address to listen on",
    "port": "port to listen on",
    "data_file": "SQLite file that keeps the vendor's state",
    "webhook_url": "where webhooks are delivered; empty: recorded as events, delivered nowhere",
    "webhook_secret": "signing secret; two, separated by a comma, sign with both (rotation)",
    "api_key": "when set, the vendor API demands it as a bearer token",
    "announce": "asynchronous: webhooks for what comes true later; all: for every change",
    "idempotency_window_seconds": "how long an effect key is honoured",
    "pending_delay_ms": "after how long a pending answer comes true",
    "payout_delay_ms": "after how long a payout in transit is paid",
    "return_delay_ms": "after how long a payout to tok_returned comes back",
    "hold_ms": "how long a timeout fault holds a request that nobody hangs up",
    "authorization_validity_seconds": "after how long an authorization can no longer be captured",
}


@dataclass(frozen=True)
class Options:
    """One sandbox's settings. Durations carry their unit in their name."""

    host: str = "127.0.0.1"
    port: int = 8001
    data_file: str = "sandbox.sqlite3"
    webhook_url: str = ""
    webhook_secret: str = "sandbox_webhook_secret"  # noqa: S105 - a demonstration value, as public as the sandbox
    api_key: str = ""
    announce: str = "asynchronous"
    idempotency_window_seconds: float = 86_400.0
    pending_delay_ms: int = 2_000
    payout_delay_ms: int = 1_000
    return_delay_ms: int = 2_000
    hold_ms: int = 60_000
    authorization_validity_seconds: float = 7 * 86_400.0

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Every live signing secret, the present one first."""
        return tuple(part.strip() for part in self.webhook_secret.split(",") if part.strip())


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; an argument wins over its variable, a variable over the default."""
    parser = argparse.ArgumentParser(prog="python -m recompense.sandbox", description=__doc__)
    for field in fields(Options):
        value_type = type(field.default)
        default = os.environ.get(f"{_ENVIRONMENT_PREFIX}{field.name.upper()}", field.default)
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=value_type,
            default=default,
            help=_HELP[field.name],
            choices=("asynchronous", "all") if field.name == "announce" else None,
        )
    return Options(**vars(parser.parse_args(arguments)))
