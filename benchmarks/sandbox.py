"""The control surface of the sandbox provider, as far as the benchmarks need it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

LASTING = -1


class Sandbox:
    """Arms faults and reads how often they have fired."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def arm(
        self, operation: str, fault: str, *, times: int = LASTING, delay_ms: int | None = None
    ) -> None:
        """Script a fault."""
        body: dict[str, Any] = {"operation": operation, "fault": fault, "times": times}
        if delay_ms is not None:
            body["delay_ms"] = delay_ms
        (await self._http.post("/_control/faults", json=body)).raise_for_status()

    async def clear(self) -> None:
        """Forget every fault."""
        (await self._http.delete("/_control/faults")).raise_for_status()

    @asynccontextmanager
    async def answering_after(self, delay_ms: int) -> AsyncIterator[None]:
        """Let every call take so many milliseconds longer meanwhile."""
        await self.arm("*", "slow", delay_ms=delay_ms)
        try:
            yield
        finally:
            await self.clear()

    async def calls(self) -> int:
        """How many calls have come in while `answering_after` was in force, look-ups included."""
        found = (await self._http.get("/_control/faults")).raise_for_status().json()["data"]
        return sum(fault["fired"] for fault in found)
