"""The tour's way to a running stack: its public API, and the sandbox's control surface."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from recompense.stack.files import StackFile

_LOOK_AGAIN_SECONDS = 0.3
_PATIENCE_SECONDS = 55.0

Json = dict[str, Any]


class TourFailed(Exception):
    """Something was not as the tour tells it."""


def expect(holds: bool, otherwise: object) -> None:
    """Check a statement before it is told. Raises `TourFailed`."""
    if not holds:
        raise TourFailed(str(otherwise))


@dataclass(frozen=True)
class Guide:
    """Calls that the tour makes, as the callers that the stack's tokens stand for."""

    stack: StackFile
    http: httpx.AsyncClient

    async def post(
        self, role: str, path: str, body: Json | None = None, *, wait_seconds: int = 20
    ) -> Json:
        """A POST that has to succeed, under an idempotency key of its own."""
        headers = {
            "Authorization": f"Bearer {getattr(self.stack.tokens, role)}",
            "Idempotency-Key": f"tour-{uuid.uuid4().hex}",
            "Prefer": f"wait={wait_seconds}",
        }
        url = self.stack.api_url + path
        return _body(await self.http.post(url, json=body or {}, headers=headers))

    async def get(self, role: str, path: str) -> Json:
        """A GET that has to succeed."""
        headers = {"Authorization": f"Bearer {getattr(self.stack.tokens, role)}"}
        return _body(await self.http.get(self.stack.api_url + path, headers=headers))

    async def until(self, role: str, path: str, holds: Callable[[Json], bool], what: str) -> Json:
        """Read until it is as expected. Raises `TourFailed` when that takes too long."""
        last: Json = {}
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    last = await self.get(role, path)
                    if holds(last):
                        return last
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        except TimeoutError:
            stands = last.get("status") or last.get("state")
            raise TourFailed(f"{what} did not happen in time; it stands at {stands}") from None

    async def saga(self, workflow_id: str) -> Json:
        """One saga, with its steps and its page in the Temporal UI."""
        return await self.get("ops", saga_path(workflow_id))

    async def arm(
        self, operation: str, fault: str, *, times: int = 1, reference: str | None = None
    ) -> None:
        """Script a fault at the sandbox provider."""
        body: Json = {"operation": operation, "fault": fault, "times": times}
        if reference is not None:
            body["match"] = {"reference": reference}
        _body(await self.http.post(f"{self.stack.sandbox_url}/_control/faults", json=body))

    async def fired(self, reference: str | None) -> int:
        """How often the faults armed for this reference (None: for everybody) have fired."""
        answer = _body(await self.http.get(f"{self.stack.sandbox_url}/_control/faults"))
        return sum(
            fault["fired"]
            for fault in answer["data"]
            if (fault.get("match") or {}).get("reference") == reference
        )

    async def until_made(self, reference: str) -> None:
        """Wait until the provider has made an effect for one operation."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not await self.effects(reference):
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def until_fired(self, reference: str | None, times: int) -> None:
        """Wait until a fault has met its call."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self.fired(reference) < times:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def clear_faults(self) -> None:
        """The provider is well again, and tells of what happens."""
        answer = await self.http.delete(f"{self.stack.sandbox_url}/_control/faults")
        answer.raise_for_status()
        await self.sends_webhooks("normal")

    async def sends_webhooks(self, mode: str) -> None:
        """How the sandbox tells of what it does from now on."""
        url = f"{self.stack.sandbox_url}/_control/webhooks"
        _body(await self.http.post(url, json={"mode": mode}))

    async def settle(self, date: str, corrupt: str | None = None) -> None:
        """Have the sandbox write its report of a date, perhaps with a planted break."""
        body = {"date": date} | ({"corrupt": corrupt} if corrupt else {})
        _body(await self.http.post(f"{self.stack.sandbox_url}/_control/settle", json=body))

    async def effects(self, reference: str) -> list[Json]:
        """What the provider itself says that it did for one operation."""
        url = f"{self.stack.sandbox_url}/_control/effects"
        answer = _body(await self.http.get(url, params={"reference": reference}))
        effects: list[Json] = answer["data"]
        return effects


@dataclass
class Chapter:
    """One story of the tour: what was seen, and where to look at it."""

    title: str
    lines: list[str] = field(default_factory=list)
    sagas: list[tuple[str, str]] = field(default_factory=list)

    def told(self, line: str) -> None:
        """A statement that holds."""
        self.lines.append(line)

    async def shows(self, guide: Guide, workflow_id: str) -> Json:
        """A saga that can be looked at."""
        saga = await guide.saga(workflow_id)
        self.sagas.append((workflow_id, str(saga["ui_url"])))
        return saga


def saga_path(workflow_id: str) -> str:
    """Where the API has a saga."""
    return f"/v1/ops/sagas/{quote(workflow_id, safe='')}"


def _body(answer: httpx.Response) -> Json:
    if not answer.is_success:
        raise TourFailed(
            f"{answer.request.method} {answer.request.url.path} answered"
            f" {answer.status_code}: {answer.text[:300]}"
        )
    body: Json = answer.json()
    return body
