"""The gate: how many requests one process works on at once.

What comes beyond is refused at once, so that what was let in is answered in time.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import RETRY_SOON, Problem

HELD_SECONDS = 5.0
"""A request that waits for a slow provider or a payer costs nothing: its place is given on."""
_ALWAYS_LET_IN = frozenset({"/healthz", "/readyz", "/metrics"})


class Gate:
    """Places for requests that are under way. `places` bounds the queue behind the API."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0

    def enter(self) -> Place:
        """Take a place. Raises `Problem` 503 (`overloaded`) when there is none: nothing was
        begun, and the same request may be sent again.
        """
        if self._taken >= self._places:
            raise Problem("overloaded", headers=RETRY_SOON)
        self._taken += 1
        return Place(self)

    def leave(self) -> None:
        """A place is free again."""
        self._taken -= 1


class Place:
    """One request's place, given back once: when it is answered, or has waited for long."""

    def __init__(self, gate: Gate) -> None:
        self._gate: Gate | None = gate
        self._timer = asyncio.get_running_loop().call_later(HELD_SECONDS, self.give_back)

    def give_back(self) -> None:
        """Give the place back."""
        gate, self._gate = self._gate, None
        self._timer.cancel()
        if gate is not None:
            gate.leave()


class Gated:
    """Plain ASGI: lets requests in, or refuses them before anything is read of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _ALWAYS_LET_IN:
            await self._app(scope, receive, send)
            return
        gate: Gate = scope["app"].state.parts.gate
        try:
            place = gate.enter()
        except Problem as refused:
            answer = refused.response(scope["state"]["request_id"])
            await answer(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            place.give_back()
