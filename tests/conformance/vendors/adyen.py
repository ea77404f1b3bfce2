"""A stand-in of Adyen of our own, held to Adyen's API description. Its look-ups are given what it
has told, as the platform gives what it has stored.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from adapters.registry import build
from adapters.transport import ObservedTransport
from recompense.contracts.port_extras import verified_events
from recompense.contracts.provider import MoneyCall, ProviderEvent, ProviderOperation
from tests.conformance.targets import Delivery, Effect, Meaning, StandIn, Target
from tests.support.adyen import signing
from tests.support.adyen.server import Adyen, running_adyen
from tests.support.adyen.vendor import (
    CHALLENGED_CARD,
    CLOSED_ACCOUNT,
    DECLINED_CARD,
    RETURNING_ACCOUNT,
    Fault,
)

REVERSAL = "reversal"
"""Takes an effect back that was made: told at once, whatever operation it was."""

_REVERSALS = {
    ProviderOperation.CAPTURE: "CAPTURE_FAILED",
    ProviderOperation.REFUND: "REFUND_FAILED",
}
_STORED = "its look-up reads what is stored, and calls nobody"
_UNSIGNED = "a refusal that is told by notification has no signed reason"


class AdyenTarget(Target):
    """Answers modifications with `received`; their truth is what it tells afterwards."""

    name = "adyen"
    tokens = {  # noqa: RUF012 - never changed
        Meaning.GOOD: "GOODCARD00000001:shopper_1",
        Meaning.DECLINED: f"{DECLINED_CARD}:shopper_1",
        Meaning.ACTION: f"{CHALLENGED_CARD}:shopper_1",
        Meaning.GOOD_ACCOUNT: "SEGOOD0000000001",
        Meaning.CLOSED_ACCOUNT: CLOSED_ACCOUNT,
        Meaning.RETURNED_ACCOUNT: RETURNING_ACCOUNT,
    }
    late = frozenset(
        {
            ProviderOperation.CAPTURE,
            ProviderOperation.VOID,
            ProviderOperation.REFUND,
            ProviderOperation.CREATE_PAYOUT,
        }
    )
    in_progress = True
    signed_age = False
    native_faults = frozenset(
        {"decline", "insufficient_funds", "pending", "unknown_status", "slow", REVERSAL}
    )
    not_applicable = {  # noqa: RUF012 - never changed
        "fault_on_lookup_*": _STORED,
        "malformed_lookup_*": _STORED,
        "stale_lookup_*": _STORED,
        "decline_is_declined_without_effect:*": _UNSIGNED,
        "payer_action_*": "no notification tells that a payer has to act: tests/conformance/"
        "test_adyen.py",
    }

    def __init__(self, live: Adyen) -> None:
        super().__init__()
        self.live = live
        self.base_url = f"{live.base_url}/checkout/v71"

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """Addresses, accounts and keys."""
        return self.live.config(base_url)

    def effects(self, call: MoneyCall) -> list[Effect]:
        """As its log tells."""
        reference = call.effect_key.replace(":", "/")
        with self.live.vendor.lock:
            self.live.vendor.tick()
            return [
                Effect(made.amount, made.currency)
                for made in self.live.vendor.made
                if made.reference == reference
            ]

    def told(self, transport: ObservedTransport) -> Sequence[ProviderEvent]:
        """All that it has told, verified."""
        port = build("adyen", self.config(), transport=transport).port
        return [
            event
            for sent in self.live.told()
            for event in verified_events(port, sent.headers, sent.body)
        ]

    def arm(
        self,
        operation: ProviderOperation,
        fault: str,
        *,
        times: int = 1,
        reference: str | None = None,
        delay_ms: int | None = None,
    ) -> None:
        """Script a fault."""
        if fault == REVERSAL:
            self.live.vendor.take_back(_REVERSALS[operation], f"{reference}/")
            return
        seconds = (delay_ms or 0) / 1000
        self.live.vendor.faults.append(Fault(operation.value, fault, times, reference, seconds))

    def fired(self) -> int:
        """How often they fired."""
        return sum(fault.fired for fault in self.live.vendor.faults)

    def clear(self) -> None:
        """Forget every fault."""
        self.live.vendor.faults.clear()

    def act(self, redirect_url: str, *, succeed: bool) -> None:
        """Answer the challenge."""
        self.live.act(redirect_url, succeed=succeed)

    def brings_back(self, redirect_url: str, *, succeed: bool) -> dict[str, str]:
        """A result that decides nothing before it is handed to Adyen."""
        payment = self.live.vendor.payments[redirect_url.rpartition("/")[2]]
        return {"redirectResult": payment.returned(succeed=succeed)}

    def write_report(self, report_date: date) -> None:
        """Every day's report is made when it is asked for."""

    def in_report(self, call: MoneyCall) -> str:
        """By the reference that it was sent with."""
        return call.effect_key.replace(":", "/")

    def delivery(
        self,
        *,
        event_id: str,
        reference: str,
        at: datetime,
        secret: str | None = None,
        body: bytes | None = None,
    ) -> Delivery:
        """A transfer that was booked: the one that was made, where there is one."""
        named = f"{reference}/payout/1"
        known = self.live.vendor.transfers.get(named)
        made = signing.transfer(
            known or re.sub(r"[^A-Za-z0-9]", "", event_id).upper(),
            named,
            "booked",
            key=secret or signing.TRANSFER_HMAC_KEY,
            body=body,
        )
        return Delivery(made.headers, made.body)


@contextlib.contextmanager
def _adyen(directory: Path) -> Iterator[Target]:
    with running_adyen() as live:
        yield AdyenTarget(live)


TARGETS: dict[str, StandIn] = {"adyen": _adyen}
