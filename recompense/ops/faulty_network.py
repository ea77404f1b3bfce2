"""A network that fails on demand below an adapter, for checks against a live provider: the
provider itself is asked, or is not, and answers rightly.
"""

from __future__ import annotations

from enum import StrEnum

import httpx


class Fault(StrEnum):
    """What the network does to one call."""

    REFUSED = "refused connection"
    LOST_ANSWER = "lost answer"
    NONSENSE = "page instead of an answer"
    OVERLOADED = "429"


class FaultyNetwork(httpx.AsyncBaseTransport):
    """Real HTTP, but for the next call that is not a GET where a fault is set.

    `fired` tells whether a call has met it.
    """

    def __init__(self) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self.fault: Fault | None = None
        self.fired = False

    def meet(self, fault: Fault) -> None:
        """Let the next call that moves money meet this fault."""
        self.fault, self.fired = fault, False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, or fail it."""
        if self.fault is None or request.method == "GET":
            return await self._real.handle_async_request(request)
        fault, self.fault, self.fired = self.fault, None, True
        if fault is Fault.REFUSED:
            raise httpx.ConnectError("refused by the check", request=request)
        if fault is Fault.OVERLOADED:
            return httpx.Response(429, headers={"retry-after": "1"}, content=b"{}")
        answer = await self._real.handle_async_request(request)
        await answer.aread()
        await answer.aclose()
        if fault is Fault.LOST_ANSWER:
            raise httpx.ReadError("lost by the check", request=request)
        return httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html></html>")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._real.aclose()
