"""`kill -9` of any part during a burst of mixed operations: nothing acknowledged is lost, nothing
doubled, no person needed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.census import SOAK, count
from tests.support.stack import TestStack, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, quiet

PAYMENTS = 120
IN_FLIGHT = 8
PARTS = ["workers", "api", "temporal", "postgres", "sandbox"]
SOAK_ROUNDS = 4
"""Each round has a seed of its own for each part."""
PATIENCE_SECONDS = 120
PAYOUT = {
    "merchant_id": "mer_demo",
    "amount": 20,
    "currency": "EUR",
    "destination": {"type": "bank_token", "token": "tok_ok"},
}
"""Less than the automatic payment before it has made available: it is never refused."""


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    """One stack for all crashes: what one has left behind must not hurt the next."""
    with stack_of_its_own() as running:
        running.up()
        yield running


@dataclass
class Burst:
    """Callers that never give up: each request is repeated under its key until its outcome is
    known.
    """

    stack: TestStack
    seed: int
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    done: int = 0

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
                k=PAYMENTS,
            )
            await asyncio.gather(*(one(number, kind) for number, kind in enumerate(kinds)))

    async def _operate(self, http: httpx.AsyncClient, number: int, kind: str) -> None:
        """A payment, and what is asked of it: two operations on average."""
        method = "automatic" if kind in {"automatic", "refund", "payout"} else "manual"
        payment = await self._post(http, number, "pay", "/v1/payments", self._body(number, method))
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
            if answer.status_code == 409:
                assert answer.json()["code"] == "idempotency_key_in_use", answer.text
            await asyncio.sleep(0.3)
        raise AssertionError(f"{step} of {number} never had an outcome: {self.statuses}")


@pytest.mark.parametrize("round_", range(SOAK_ROUNDS if SOAK else 1))
@pytest.mark.parametrize("part", PARTS)
async def test_killed_part_loses_and_doubles_nothing(
    stack: TestStack, part: str, round_: int
) -> None:
    burst = Burst(stack, seed=round_ * len(PARTS) + PARTS.index(part))
    running = asyncio.create_task(burst.run())
    while burst.done < PAYMENTS // 4 and not running.done():
        await asyncio.sleep(0.05)
    victims = _pids(stack, part)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    await running
    assert set(_pids(stack, part)).isdisjoint(victims), "nobody died: the case proves nothing"
    assert all(_ended_well(resource) for resource in burst.acknowledged)
    await quiet(stack)
    await assert_nothing_lost_or_doubled(stack, burst.acknowledged)
    count("cases by fault", f"kill -9 of {part} during a burst")


def _pids(stack: TestStack, part: str) -> list[int]:
    pids = stack.file()["pids"][part]
    return list(pids) if isinstance(pids, list) else [pids]


def _ended_well(resource: dict[str, Any]) -> bool:
    return resource["status"] not in {"processing", "pending"}
