"""A provider's world: a live stand-in of the vendor, the platform around it, and what a test sees
of both.

Each world is a file of `tests/live/providers/worlds/` that exports `WORLDS`.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from pydantic import TypeAdapter

from recompense.contracts.provider import AnyMoneyCall
from tests.conformance.targets import Effect, Meaning, Target
from tests.live.providers import worlds
from tests.support.api import Api
from tests.support.fault_proxy import FaultProxy
from tests.support.platform import MERCHANT

_CALL: TypeAdapter[AnyMoneyCall] = TypeAdapter(AnyMoneyCall)
_COMES_TRUE_SECONDS = 60

PAYER_MAY_TAKE = {"action_poll_interval_seconds": 1, "action_deadline_seconds": 15}
"""How long a payer who never comes is waited for in a world's policies."""

JOURNAL = """
SELECT call, outcome_kind, provider, step FROM journal
WHERE operation_id = %s ORDER BY created_at, step
"""


def on_the_payers_page(stage: Stage, payment: dict[str, Any], succeed: bool) -> None:
    """Do what the payer does at the address that the payment names."""
    stage.target.act(payment["next_action"]["url"], succeed=succeed)


@dataclass(frozen=True)
class World:
    """A live stand-in, and which policies are replaced so that stories end within seconds.

    `payer_acts`: all that happens until a payer has authenticated, or has failed to.
    """

    target: Target
    policies: Mapping[str, Any] = field(default_factory=dict)
    payer_acts: Callable[[Stage, dict[str, Any], bool], None] = on_the_payers_page


WorldFactory = Callable[[Path, str], AbstractContextManager[World]]
"""Starts a stand-in that may keep files in a folder and sends its webhooks to an address."""


@dataclass
class Stage:
    """The platform with one provider beside the sandbox, from outside: HTTP, rows, and effects."""

    api: Api
    world: World
    proxy: FaultProxy

    @property
    def target(self) -> Target:
        """The vendor's stand-in."""
        return self.world.target

    def payment(self, **changes: Any) -> dict[str, Any]:
        """The body of a payment that works at this provider."""
        token = self.target.tokens.get(Meaning.GOOD, "")
        return {
            "merchant_id": MERCHANT,
            "amount": 10_000,
            "currency": self.target.currency,
            "provider": self.target.provider,
            "payment_method": {"type": "card_token", "token": token},
            "capture_method": "manual",
            **changes,
        }

    def made(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Create something and wait until its outcome is known: what GET shows then."""
        answer = self.api.post(path, body or {}, headers={"Prefer": "wait=30"})
        assert answer.status_code in (200, 201, 202), answer.text
        shown: dict[str, Any] = answer.json()
        return self.until(shown, lambda one: one["status"] not in ("processing", "pending"))

    def finish_action(self, payment: dict[str, Any], *, succeed: bool) -> None:
        """The payer of a payment that requires an action does it, or fails to."""
        self.world.payer_acts(self, payment, succeed)

    def until(
        self, resource: dict[str, Any], holds: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Read a resource again until it holds; what the vendor owes meanwhile is settled."""
        path = f"/v1/{resource['object']}s/{resource['id']}"
        give_up_at = time.monotonic() + _COMES_TRUE_SECONDS
        while time.monotonic() < give_up_at:
            shown: dict[str, Any] = self.api.get(path).json()
            if holds(shown):
                return shown
            for call, outcome in self.journaled(resource["id"]):
                if outcome in (None, "pending"):
                    self.target.settle(call)
            time.sleep(0.1)
        raise AssertionError(f"it never came true: {shown}")

    def journaled(self, operation_id: str) -> list[tuple[AnyMoneyCall, str | None]]:
        """The calls of an operation with their outcomes, in the order of their intents."""
        with psycopg.connect(self.api.database_url, row_factory=dict_row) as connection:
            rows = connection.execute(JOURNAL, [operation_id]).fetchall()
        return [(_CALL.validate_python(row["call"]), row["outcome_kind"]) for row in rows]

    def effects(self, operation_id: str) -> list[tuple[str, Effect]]:
        """What the vendor itself says that it did for an operation: the step, and the money."""
        return [
            (call.operation.value, effect)
            for call, _ in self.journaled(operation_id)
            for effect in self.target.effects(call)
        ]

    def meets(self, fault: str, *, times: int = 1) -> None:
        """The next money calls to the provider meet a fault on the socket."""
        self.proxy.fault, self.proxy.times, self.proxy.fired = fault, times, 0

    def deliver(self, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Hand a webhook in, as the vendor would."""
        path = f"/webhooks/{self.target.provider}"
        return self.api.http.post(path, content=body, headers=dict(headers))

    def rows(self, statement: str, *values: str) -> list[Any]:
        """Read from the database."""
        with psycopg.connect(self.api.database_url) as connection:
            return connection.execute(statement.encode(), values).fetchall()


def _all_worlds() -> dict[str, WorldFactory]:
    found: dict[str, WorldFactory] = {}
    for module in pkgutil.iter_modules(worlds.__path__, f"{worlds.__name__}."):
        found |= importlib.import_module(module.name).WORLDS
    return found


WORLDS: Mapping[str, WorldFactory] = _all_worlds()
