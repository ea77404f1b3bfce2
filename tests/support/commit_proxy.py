"""A proxy in front of PostgreSQL that breaks one COMMIT: the n-th of all that pass through it.

It reads the client's messages (plain protocol 3, no TLS) just far enough to know a COMMIT. The
client of a commit that was cut before it reached the server, and of one whose answer was cut, sees
the same error.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import psycopg

_ENCRYPTION_REQUESTS = frozenset({80877103, 80877104})
_READY = b"Z\x00\x00\x00\x05I"
_COMMITTED = b"COMMIT\x00"
_CHUNK = 65536


class Fault(StrEnum):
    """What happens to the commit."""

    CUT_BEFORE = "cut_before"
    """The connection breaks before the server reads the COMMIT: nothing is written."""
    CUT_AFTER = "cut_after"
    """The server commits; the connection breaks before the client reads it."""
    TERMINATED = "terminated"
    """An administrator terminates the backend in the middle of the transaction."""
    SERIALIZATION = "serialization"
    """The server refuses the transaction with 40001."""
    DEADLOCK = "deadlock"
    """The server refuses the transaction with 40P01."""


_SQLSTATES = {Fault.TERMINATED: "57P01", Fault.SERIALIZATION: "40001", Fault.DEADLOCK: "40P01"}


@dataclass
class CommitProxy:
    """A running proxy. `break_commit` arms it; `fired` says that the fault has happened."""

    server_url: str
    port: int = 0
    commits: int = 0
    fired: bool = False
    _fault: Fault | None = None
    _at: int = 0

    @property
    def url(self) -> str:
        """The database's address through this proxy."""
        parts = urlsplit(self.server_url)
        return parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}").geturl()

    def break_commit(self, fault: Fault, number: int) -> None:
        """Break the `number`-th commit from now on, once."""
        self._fault, self._at, self.fired = fault, self.commits + number, False

    def fault_of_this_commit(self) -> Fault | None:
        """Count a commit, and say what has to happen to it."""
        self.commits += 1
        return self._fault if self._fault and self.commits == self._at else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one client's session."""
        parts = urlsplit(self.server_url)
        session = _Session(
            self, _Side(reader, writer), _Side(*await _connect(parts.hostname, parts.port))
        )
        try:
            await session.run()
        finally:
            session.abort()


async def _connect(
    host: str | None, port: int | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(host, port)


@dataclass
class _Side:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class _Session:
    proxy: CommitProxy
    client: _Side
    server: _Side
    backend: int | None = None
    withheld: bytearray | None = None
    awaited: bytes | None = None

    async def run(self) -> None:
        ways = {asyncio.create_task(way) for way in (self._forward(), self._backward())}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            # One that ended because its connection did says so here, and nobody else wants to know.
            await asyncio.gather(*ways, return_exceptions=True)

    def abort(self) -> None:
        """Break both connections at once, as a network does."""
        for side in (self.client, self.server):
            side.writer.transport.abort()

    async def _forward(self) -> None:
        await self._start_up()
        while True:
            head = await self.client.reader.readexactly(5)
            body = await self.client.reader.readexactly(struct.unpack("!xI", head)[0] - 4)
            if head[:1] != b"Q" or body != _COMMITTED:
                await self.server.send(head + body)
            elif not await self._commit(head + body):
                return

    async def _start_up(self) -> None:
        """The messages before the first typed one: perhaps a wish for encryption, which the server
        declines, then the session's parameters.
        """
        code = min(_ENCRYPTION_REQUESTS)
        while code in _ENCRYPTION_REQUESTS:
            head = await self.client.reader.readexactly(8)
            length, code = struct.unpack("!II", head)
            await self.server.send(head + await self.client.reader.readexactly(length - 8))

    async def _commit(self, message: bytes) -> bool:
        """Let a commit pass, or break it. Returns False when the session has ended."""
        fault = self.proxy.fault_of_this_commit()
        match fault:
            case None:
                await self.server.send(message)
            case Fault.CUT_BEFORE:
                self.proxy.fired = True
                return False
            case Fault.CUT_AFTER:
                self.withheld = bytearray()
                await self.server.send(message)
            case Fault.TERMINATED:
                self.awaited = _SQLSTATES[fault].encode()
                await self._terminate()
            case Fault.SERIALIZATION | Fault.DEADLOCK:
                self.awaited = _SQLSTATES[fault].encode()
                await self.server.send(_refusal(_SQLSTATES[fault]))
        return True

    async def _terminate(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self.proxy.server_url, autocommit=True)
        async with connection:
            await connection.execute("SELECT pg_terminate_backend(%s)", [self.backend])

    async def _backward(self) -> None:
        while data := await self.server.reader.read(_CHUNK):
            if self.backend is None:
                self.backend = _backend_of(data)
            if self.withheld is None:
                # Fired only when the server has said so, here and below.
                self.proxy.fired |= self.awaited is not None and self.awaited in data
                await self.client.send(data)
                continue
            self.withheld += data
            if self.withheld.endswith(_READY):
                self.proxy.fired = _COMMITTED in self.withheld
                return


def _refusal(sqlstate: str) -> bytes:
    """A statement in the commit's place that ends the transaction with this error."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$"
    body = raised.encode() + b"\x00"
    return b"Q" + struct.pack("!I", len(body) + 4) + body


def _backend_of(data: bytes) -> int | None:
    """The process id in the server's greeting (BackendKeyData); None: it is not in there."""
    place = data.find(b"K\x00\x00\x00")
    if place < 0 or len(data) < place + 9:
        return None
    pid: int = struct.unpack_from("!I", data, place + 5)[0]
    return pid


@asynccontextmanager
async def commit_proxy(server_url: str) -> AsyncIterator[CommitProxy]:
    """Run a proxy in front of this database, until the block ends."""
    proxy = CommitProxy(server_url)
    sessions: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.add(asyncio.create_task(proxy.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
