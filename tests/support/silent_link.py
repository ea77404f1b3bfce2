"""A network between two processes that falls silent, and heals.

Silent means that nothing comes through and nobody is told: no connection is closed or refused, as
when a switch dies or a firewall forgets.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Loss = Literal["held", "dropped", "forgotten"]
"""What becomes of what was sent into the silence: it arrives at its end, late, whether its sender
still waits or not; it never arrives, and its connection is broken when the network is back; or its
connection stays silent for ever, while new ones work.
"""

_CHUNK = 65536


@dataclass
class SilentLink:
    """A port that leads to another one of this machine. Safe to use from any thread."""

    upstream: int
    port: int = 0
    withheld: int = 0
    """How many bytes were sent into the silence so far."""
    _loss: Loss | None = None
    _healed: asyncio.Event = field(default_factory=asyncio.Event)
    _sessions: set[_Session] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def fall_silent(self, loss: Loss) -> None:
        """Let nothing through from now on."""
        self._loop.call_soon_threadsafe(self._fall_silent, loss)

    def heal(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._heal)

    def _fall_silent(self, loss: Loss) -> None:
        self._loss = loss
        self._healed.clear()

    def _heal(self) -> None:
        loss, self._loss = self._loss, None
        self._healed.set()
        if loss == "forgotten":
            return
        for session in [one for one in self._sessions if one.lost]:
            session.abort()

    async def passes(self, data: bytes) -> bool:
        """Whether these bytes arrive; returns when they do, or when they are lost."""
        if self._loss is None:
            return True
        self.withheld += len(data)
        if self._loss == "held":
            await self._healed.wait()
            return True
        return False

    async def serve(self) -> asyncio.Server:
        """Listen. The port is known afterwards."""
        self._healed.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, reader, writer)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            session.abort()

    def run(self, ready: threading.Event, stop: threading.Event) -> None:
        """Serve in this thread until `stop`."""

        async def main() -> None:
            server = await self.serve()
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)
            server.close()
            for session in list(self._sessions):
                session.abort()

        self._loop.run_until_complete(main())


@dataclass(eq=False)
class _Session:
    """One connection through the link."""

    link: SilentLink
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    lost: bool = False
    _far: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        if not await self.link.passes(b""):
            self.lost = True
            await self._swallow(self.reader)
            return
        try:
            far_reader, self._far = await asyncio.open_connection("127.0.0.1", self.link.upstream)
        except OSError:
            return
        await asyncio.gather(
            self._carry(self.reader, self._far), self._carry(far_reader, self.writer)
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if not await self.link.passes(data):
                    self.lost = True
                    await self._swallow(reader)
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        # The end of a connection travels as its bytes do.
        if await self.link.passes(b""):
            writer.transport.close()
        else:
            self.lost = True

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        """What comes after lost bytes is lost as well; `heal` breaks the connection."""
        try:
            while data := await reader.read(_CHUNK):
                self.link.withheld += len(data)
        except OSError:
            return

    def abort(self) -> None:
        """Break both connections at once."""
        for writer in (self.writer, self._far):
            if writer is not None:
                writer.transport.abort()


@contextmanager
def silent_links(*upstreams: int) -> Iterator[list[SilentLink]]:
    """A link to each of these ports, until the block ends."""
    links = [SilentLink(upstream) for upstream in upstreams]
    stop = threading.Event()
    threads = []
    try:
        for link in links:
            ready = threading.Event()
            threads.append(threading.Thread(target=link.run, args=(ready, stop), daemon=True))
            threads[-1].start()
            assert ready.wait(timeout=10), "the link does not listen"
        yield links
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)
