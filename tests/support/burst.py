"""A burst of mixed operations on a whole stack, by callers that never give up."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.stack import TestStack

PAYMENTS = 120
IN_FLIGHT = 8
PATIENCE_SECONDS = 120
PAYOUT = {
    "merchant_id": "mer_demo",
    "amount": 20,
    "currency": "EUR",
    "destination": {"type": "bank_token", "token": "tok_ok"},
}
"""Less than the automatic payment before it has made available: it is never refused."""


@dataclass
class Burst:
    """Callers that never give up: each request is repeated under its key until its outcome is
    known.
    """

    stack: TestStack
    seed: int
    payments: int = PAYMENTS
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    done: int = 0

    async def a_quarter_done(self, running: asyncio.Task[None]) -> None:
        """Wait until the burst is well under way."""
        while self.done < self.payments // 4 and not running.done():
            await asyncio.sleep(0.05)

    @property
    def ended_well(self) -> bool:
        """Whether each caller was told an outcome that stands."""
        return all(one["status"] not in {"processing", "pending"} for one in self.acknowledged)

    async def run(self) -> None:
        """Make all operations, some at a time."""
        chance = random.Random(self.seed)  # noqa: S311 - a seeded test, no secret
        limit = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:

            async def one(number: int, kind: str) -> None:
                async with limit:
                    await self._operate(http, number, kind)
                    self.done += 1

            kinds = chance.choices(
                ["authorize", "capture", "refund", "void", "automatic", "payout"],
                weights=[2, 3, 2, 2, 1, 2],
                k=self.payments,
            )
            await asyncio.gather(*(one(number, kind) for number, kind in enumerate(kinds)))

    async def _operate(self, http: httpx.AsyncClient, number: int, kind: str) -> None:
        """A payment, and what is asked of it: two operations on average. Where the payment was
        taken back nothing more is asked.
        """
        method = "automatic" if kind in {"automatic", "refund", "payout"} else "manual"
        payment = await self._post(http, number, "pay", "/v1/payments", self._body(number, method))
        if payment["status"] == "failed":
            return
        path = f"/v1/payments/{payment['id']}"
        if kind == "capture":
            await self._post(http, number, "cap", f"{path}/captures", {"amount": 40})
            await self._post(http, number, "cap2", f"{path}/captures", {"final": True})
        elif kind == "refund":
            await self._post(http, number, "ref", f"{path}/refunds", {"amount": 30})
        elif kind == "void":
            await self._post(http, number, "void", f"{path}/void", {})
        elif kind == "payout":
            await self._post(http, number, "po", "/v1/payouts", PAYOUT, role="finance")

    def _body(self, number: int, method: str) -> dict[str, Any]:
        return {
            "merchant_id": "mer_demo",
            "amount": 100,
            "currency": "EUR",
            "payment_method": {"type": "card_token", "token": "tok_ok"},
            "capture_method": method,
            "reference": f"burst-{self.seed}-{number}",
        }

    async def _post(
        self,
        http: httpx.AsyncClient,
        number: int,
        step: str,
        path: str,
        body: dict[str, Any],
        *,
        role: str = "backend",
    ) -> dict[str, Any]:
        """Ask until the outcome is known, always with the same key, as a client should."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                answer = await http.post(
                    self.stack.file()["api_url"] + path,
                    json=body,
                    headers={
                        "Authorization": f"Bearer {self.stack.file()['tokens'][role]}",
                        "Idempotency-Key": f"{self.seed}-{number}-{step}",
                    },
                )
            except httpx.HTTPError:
                await asyncio.sleep(0.2)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code in {200, 201}:
                resource: dict[str, Any] = answer.json()
                self.acknowledged.append(resource)
                return resource
            assert answer.status_code in {202, 409, 503}, answer.text
            if answer.status_code == 409 and answer.json()["code"] == "payment_not_voidable":
                # The void was taken back; whether it may be is for the test to say.
                return {}
            if answer.status_code == 409:
                assert answer.json()["code"] == "idempotency_key_in_use", answer.text
            await asyncio.sleep(0.3)
        raise AssertionError(f"{step} of {number} never had an outcome: {self.statuses}")
