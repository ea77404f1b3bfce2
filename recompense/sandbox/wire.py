"""Misbehaviour below HTTP: a connection that is reset, a request that is held, half an answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TRANSPORT = "recompense.sandbox.transport"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class SocketAwareProtocol(HttpToolsProtocol):
    """uvicorn's own HTTP protocol, which also lends the application its connection."""

    def on_message_begin(self) -> None:
        """Start a request's scope, with the transport among the extensions."""
        super().on_message_begin()
        scope: Any = self.scope
        scope["extensions"] = {_TRANSPORT: self.transport}


async def never_answer(request: Request, hold_seconds: float) -> Response:
    """Hold the request, then reset its connection. What is returned reaches nobody."""
    await hold(request, hold_seconds)
    await reset(request)
    return Response()


async def hold(request: Request, seconds: float) -> None:
    """Wait until the client hangs up, `seconds` at the most.

    The request's body must have been read.
    """
    try:
        async with asyncio.timeout(seconds):
            await _hung_up(request)
    except TimeoutError:
        return


async def reset(request: Request) -> None:
    """Close the connection with a TCP reset (linger zero drops what the kernel still holds)."""
    transport: asyncio.Transport = request.scope["extensions"][_TRANSPORT]
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
    await _hung_up(request)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
