"""Adyen: what became of a call is told by notification, twice, to the platform's own address.

The second world is of an account whose notifications name a modification by the payment's
reference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.vendors.adyen import AdyenTarget
from tests.live.providers.world import PAYER_MAY_TAKE, Stage, World, WorldFactory
from tests.support.adyen.server import running_adyen

_SOON: dict[str, Any] = {"poll_interval_seconds": 1, **PAYER_MAY_TAKE}
POLICIES: dict[str, Any] = {
    "calls": {
        "*": {
            "connect_timeout_seconds": 1,
            "read_timeout_seconds": 2,
            "start_to_close_seconds": 6,
            "schedule_to_close_seconds": 30,
            "initial_interval_seconds": 0.25,
            "maximum_interval_seconds": 1,
            "maximum_attempts": 5,
        },
        "lookup": {"maximum_attempts": 3, "schedule_to_close_seconds": 7},
    },
    "pending": {
        operation: _SOON
        for operation in ("authorize", "capture", "void", "refund", "create_payout")
    },
    "send_right_seconds": 2,
    "clock_skew_seconds": 0.5,
}
"""Shorter waits than are shipped: a story ends within seconds."""


_OF_THE_OTHER = (
    *("partial_capture_that_is_final_*", "void_*", "automatic_*", "declined_*", "payout_*"),
    *("lost_authorization_*", "lost_void_*", "lost_payout_*", "duplicate_*", "silence_*"),
    *("webhook_tells_*", "payer_*"),
)
"""What has nothing to do with how a modification is named, or needs it named by our key."""


def _comes_back(stage: Stage, payment: dict[str, Any], succeed: bool) -> None:
    """What the payer brings back decides nothing before it is handed in."""
    url = payment["next_action"]["url"]
    parameters = stage.target.brings_back(url, succeed=succeed)
    path = f"/v1/payments/{payment['id']}/complete"
    stage.api.post(path, {"parameters": parameters}).raise_for_status()


@contextlib.contextmanager
def _adyen(directory: Path, webhook_url: str) -> Iterator[World]:
    with running_adyen(webhook_url=webhook_url) as live:
        live.duplicate = True
        yield World(AdyenTarget(live), POLICIES, payer_acts=_comes_back)


@contextlib.contextmanager
def _names_the_payment(directory: Path, webhook_url: str) -> Iterator[World]:
    with running_adyen(webhook_url=webhook_url, names_the_payment=True) as live:
        target = AdyenTarget(live)
        target.name = "adyen@payments-name"
        target.native_faults |= {"names_the_payment"}
        target.not_applicable = dict.fromkeys(_OF_THE_OTHER, "asked of the other account")
        yield World(target, POLICIES)


WORLDS: dict[str, WorldFactory] = {"adyen": _adyen, "adyen@payments-name": _names_the_payment}
