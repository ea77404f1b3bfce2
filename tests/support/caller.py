"""A caller of a whole stack who repeats each request under its key until its outcome is known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count as numbers
from typing import Any

import httpx

from tests.support.stack import PATIENCE_SECONDS, TestStack

FOUR_EYES = "mer_four_eyes"
"""A merchant whose every payout needs an approval."""

_STILL_OPEN = frozenset({202, 409, 503})
_KNOWN = frozenset({200, 201})


class Refused(Exception):
    """The operation was refused: its code."""


@dataclass(frozen=True)
class Request:
    """A POST: where, what, and as whom."""

    path: str
    body: Mapping[str, Any]
    role: str = "backend"


@dataclass
class Caller:
    """Asks a stack, and remembers what it was told."""

    stack: TestStack
    told: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=numbers)

    def ask(self, request: Request, key: str | None = None) -> dict[str, Any]:
        """Ask under one key until the outcome is known.

        Raises:
            Refused: the state forbids it, or it could not be done.
            AssertionError: the outcome was never known.
        """
        key = key or f"caller-{os.getpid()}-{next(self._numbers)}"
        give_up_at = time.monotonic() + 2 * PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            told = self.once(request, key)
            if told is not None:
                self.told.append(told)
                return told
            time.sleep(0.3)
        raise AssertionError(f"{request.path} never had an outcome")

    def once(self, request: Request, key: str) -> dict[str, Any] | None:
        """Ask once. None: the outcome is not known yet. Raises `Refused`."""
        stack = self.stack.file()
        token = {"Authorization": f"Bearer {stack['tokens'][request.role]}"}
        try:
            answer = httpx.post(
                stack["api_url"] + request.path,
                json=dict(request.body),
                headers={**token, "Idempotency-Key": key},
                trust_env=False,
                timeout=15,
            )
        except httpx.HTTPError:
            return None
        if answer.status_code in _KNOWN:
            told: dict[str, Any] = answer.json()
            return told
        assert answer.status_code in _STILL_OPEN, answer.text
        if answer.status_code != 409 or answer.json()["code"] == "idempotency_key_in_use":
            return None
        raise Refused(answer.json()["code"])

    # What the provider is told

    def arm(self, operation: str, fault: str, *, times: int = -1, **more: Any) -> None:
        """Script a fault at the provider; -1 times: until `clear` is called."""
        body = {"operation": operation, "fault": fault, "times": times, **more}
        httpx.post(f"{self._provider}/_control/faults", json=body).raise_for_status()

    def fired(self, fault: str) -> int:
        """How often the scripted faults of this kind have fired, all together."""
        answer = httpx.get(f"{self._provider}/_control/faults").raise_for_status()
        return sum(one["fired"] for one in answer.json()["data"] if one["fault"] == fault)

    def clear(self) -> None:
        """The provider is well again."""
        httpx.delete(f"{self._provider}/_control/faults").raise_for_status()

    @property
    def _provider(self) -> str:
        return str(self.stack.file()["sandbox_url"])

    # What is asked for

    def prepared(self, operation: str) -> Request:
        """The request for an operation; what it needs before it is made."""
        match operation:
            case "authorize":
                return payment()
            case "capture":
                paid = self.ask(payment())
                return Request(f"/v1/payments/{paid['id']}/captures", {"amount": 40})
            case "void":
                paid = self.ask(payment())
                return Request(f"/v1/payments/{paid['id']}/void", {})
            case "refund":
                paid = self.ask(payment(capture_method="automatic"))
                return Request(f"/v1/payments/{paid['id']}/refunds", {"amount": 40})
            case "payout":
                self.ask(payment(capture_method="automatic"))
                return payout()
            case "approved payout":
                self.ask(four_eyes_merchant(), key=FOUR_EYES)
                self.ask(payment("admin", capture_method="automatic", merchant_id=FOUR_EYES))
                return payout(merchant_id=FOUR_EYES)
            case _:
                raise ValueError(f"nobody knows how to ask for a {operation}")


def payment(role: str = "backend", **changes: Any) -> Request:
    """A payment of 1.00 EUR, to be captured by hand unless told otherwise."""
    return Request(
        "/v1/payments",
        {
            "merchant_id": "mer_demo",
            "amount": 100,
            "currency": "EUR",
            "payment_method": {"type": "card_token", "token": "tok_ok"},
            "capture_method": "manual",
            **changes,
        },
        role,
    )


def payout(**changes: Any) -> Request:
    """A payout of 0.20 EUR: less than one payment makes available."""
    return Request(
        "/v1/payouts",
        {
            "merchant_id": "mer_demo",
            "amount": 20,
            "currency": "EUR",
            "destination": {"type": "bank_token", "token": "tok_ok"},
            **changes,
        },
        role="finance",
    )


def approval(payout_id: str) -> Request:
    """A second person's yes."""
    return Request(f"/v1/payouts/{payout_id}/approve", {}, role="admin")


def four_eyes_merchant() -> Request:
    """The merchant whose payouts need an approval."""
    return Request(
        "/v1/merchants",
        {
            "id": FOUR_EYES,
            "name": "Four eyes",
            "country": "DE",
            "availability": {"rule": "on_capture"},
            "payout": {"approval_above": 1},
        },
        role="admin",
    )
