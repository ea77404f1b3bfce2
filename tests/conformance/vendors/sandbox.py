"""The sandbox provider, in a process of its own."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx

from recompense.contracts.provider import MoneyCall, ProviderOperation
from tests.conformance.targets import Delivery, Effect, Meaning, StandIn, Target
from tests.support.sandbox import Sandbox, running_sandbox

_WORDS = {ProviderOperation.CREATE_PAYOUT: "payout"}
"""How the control surface names an operation, where it is not our word."""


class SandboxTarget(Target):
    """Scripts every fault itself, and counts its effects in a log of its own."""

    name = "sandbox"
    tokens = {  # noqa: RUF012 - never changed
        Meaning.GOOD: "tok_ok",
        Meaning.DECLINED: "tok_declined",
        Meaning.ACTION: "tok_3ds",
        Meaning.LOST_ONCE: "tok_timeout_once",
        Meaning.GOOD_ACCOUNT: "tok_ok",
        Meaning.CLOSED_ACCOUNT: "tok_closed_account",
        Meaning.RETURNED_ACCOUNT: "tok_returned",
    }
    late = frozenset({ProviderOperation.CREATE_PAYOUT})
    nothing_done = frozenset({503})
    in_progress = True
    native_faults = frozenset(
        {
            *("decline", "insufficient_funds", "pending", "unknown_status", "slow"),
            *("timeout_before", "timeout_after", "error_before", "error_after", "malformed"),
            *("unavailable", "rate_limited", "reset_before", "reset_after"),
        }
    )

    def __init__(self, vendor: Sandbox) -> None:
        super().__init__()
        self.vendor = vendor
        self.base_url = vendor.base_url

    def config(self, base_url: str | None = None) -> dict[str, Any]:
        """Address and secret."""
        secrets = [self.vendor.webhook_secret]
        return {"base_url": base_url or self.vendor.base_url, "webhook_secrets": secrets}

    def effects(self, call: MoneyCall) -> list[Effect]:
        """As its log tells."""
        return [
            Effect(made["amount"], made["currency"])
            for made in self.vendor.effects(call.operation_id)
            if made["effect_key"] == call.effect_key
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
        """By its control surface."""
        word = _WORDS.get(operation, operation.value)
        self.vendor.arm(word, fault, times=times, reference=reference, delay_ms=delay_ms)

    def fired(self) -> int:
        """As its control surface counts."""
        return self.vendor.fired()

    def clear(self) -> None:
        """Forget every fault."""
        self.vendor.clear_faults()

    def act(self, redirect_url: str, *, succeed: bool) -> None:
        """Answer on the payer's page."""
        answer = {"result": "succeed" if succeed else "fail"}
        httpx.post(redirect_url, json=answer, trust_env=False).raise_for_status()

    def write_report(self, report_date: date) -> None:
        """Close the day."""
        day = {"date": report_date.isoformat()}
        self.vendor.http.post("/_control/settle", json=day).raise_for_status()

    def delivery(
        self,
        *,
        event_id: str,
        reference: str,
        at: datetime,
        secret: str | None = None,
        body: bytes | None = None,
    ) -> Delivery:
        """An event about a paid payout."""
        payout = {
            "id": f"pt_{reference}",
            "object": "payout",
            "reference": reference,
            "idempotency_key": f"{reference}:payout:1",
            "amount": 1_000,
            "currency": "EUR",
            "status": "paid",
        }
        event = {
            "id": event_id,
            "type": "payout.paid",
            "created_at": at.timestamp(),
            "data": {"object": payout},
        }
        sent = json.dumps(event).encode() if body is None else body
        key = (secret or self.vendor.webhook_secret).encode()
        moment = int(at.timestamp())
        mark = hmac.new(key, f"{moment}.".encode() + sent, hashlib.sha256).hexdigest()
        return Delivery({"sandbox-signature": f"t={moment},v1={mark}"}, sent)


@contextlib.contextmanager
def _sandbox(directory: Path) -> Iterator[Target]:
    with running_sandbox(
        directory / "sandbox.sqlite3",
        pending_delay_ms=150,
        payout_delay_ms=150,
        return_delay_ms=150,
        hold_ms=20_000,
    ) as vendor:
        yield SandboxTarget(vendor)


TARGETS: dict[str, StandIn] = {"sandbox": _sandbox}
