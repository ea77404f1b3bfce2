"""The one provider call that every control makes: the same as the platform's adapter makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

AMOUNT = 1234
CURRENCY = "EUR"
TOKEN = "tok_ok"  # noqa: S105 - a card token of the sandbox, no secret
MERCHANT = "mer_demo"
TIMEOUT = httpx.Timeout(60)
NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)


@dataclass(frozen=True)
class Call:
    """One authorization, as it is asked of a control. The amount is in minor units."""

    payment_id: str
    amount: int = AMOUNT
    currency: str = CURRENCY
    token: str = TOKEN

    def request(self) -> dict[str, Any]:
        """The sandbox's request, as keyword arguments of httpx."""
        return {
            "url": "/v1/authorizations",
            "json": {
                "reference": self.payment_id,
                "amount": self.amount,
                "currency": self.currency,
                "token": self.token,
            },
            "headers": {"idempotency-key": f"{self.payment_id}:authorize"},
        }


def status_of(answer: httpx.Response) -> str:
    """The word of the sandbox. Raises `httpx.HTTPStatusError` for any other answer."""
    status: str = answer.raise_for_status().json()["status"]
    return status


def async_client(base_url: str) -> httpx.AsyncClient:
    """A client that keeps its connections and never queues for one."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=TIMEOUT, limits=NO_LIMITS)
