"""Servers that misbehave below HTTP: they cut, drip, hang and talk nonsense, at the byte that a
test names.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass
class FaultyServer:
    """Reads one request, then sends `pieces` with a pause between them, and hangs up.

    `request_bytes` cuts earlier: the connection is reset after that many bytes of the request were
    read. `reset` ends with a TCP reset instead of an orderly close; `hang_seconds` waits before the
    end.
    """

    pieces: list[bytes] = field(default_factory=list)
    pause_seconds: float = 0
    request_bytes: int | None = None
    reset: bool = False
    hang_seconds: float = 0
    requests: list[bytes] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self.request_bytes is not None:
            await reader.readexactly(self.request_bytes)
            abort(writer)
            return
        self.requests.append(await read_message(reader))
        with contextlib.suppress(ConnectionError):
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(self.pause_seconds)
        await asyncio.sleep(self.hang_seconds)
        _end(writer, reset=self.reset)


@dataclass
class CuttingProxy:
    """Passes one request on and the answer back, but only the first `answer_bytes` of it."""

    upstream_port: int
    answer_bytes: int
    reset: bool = False
    answer_length: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        request = await read_message(reader)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        up_writer.write(request)
        answer = await read_message(up_reader)
        up_writer.close()
        self.answer_length = len(answer)
        writer.write(answer[: self.answer_bytes])
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        _end(writer, reset=self.reset)


@contextlib.asynccontextmanager
async def serving(behaviour: Connection) -> AsyncIterator[str]:
    """Serve on a free port of 127.0.0.1; yields the base URL."""
    server = await asyncio.start_server(behaviour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


def free_address() -> str:
    """The address of a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP message with a Content-Length, or without a body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.removeprefix(b"content-length:"))
    return head + await reader.readexactly(length)


def http_answer(
    status: int, body: bytes, *, content_type: str = "application/json", headers: str = ""
) -> bytes:
    """A whole HTTP/1.1 answer. `headers`: further header lines, each ended by CR LF."""
    head = (
        f"HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode("latin-1") + body


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        abort(writer)
    else:
        writer.close()


def abort(writer: asyncio.StreamWriter) -> None:
    """Hang up by a TCP reset."""
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
