"""A proxy that makes a provider fail on the socket: before or after the provider has done what it
was asked, at the calls that a test names.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import httpx

from tests.support.faulty_server import abort, http_answer, read_message, serving

BEFORE = frozenset(
    {"reset_before", "timeout_before", "error_before", "unavailable", "rate_limited"}
)
"""Faults in which the provider never sees the request."""

AFTER = frozenset({"reset_after", "timeout_after", "error_after", "malformed", "drip", "slow"})
"""Faults in which the provider has answered, and its answer is lost, late, or spoiled."""

FAULTS = BEFORE | AFTER
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_HANG_SECONDS = 20.0
_DRIP_SECONDS = 0.02


@dataclass
class FaultProxy:
    """Passes requests on to `upstream`. The first `times` requests that `concerns` (method, path)
    accepts meet the `fault`; -1: all of them.

    `delay_ms` is how long `slow` waits; `retry_after` is sent with 429 and 503; `drip` sends
    `whole_bytes` of the answer at once and the rest byte by byte.
    """

    upstream: str
    fault: str
    concerns: Callable[[str, str], bool]
    times: int = 1
    delay_ms: int = 0
    retry_after: str = "1"
    whole_bytes: int = 0
    fired: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, request after request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                while await self._one(client, reader, writer):
                    pass
        writer.close()

    async def _one(
        self, client: httpx.AsyncClient, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head, _, body = (await read_message(reader)).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        self.seen.append((method, path))
        headers = dict(line.split(": ", 1) for line in lines)
        meets = self.concerns(method, path) and (self.times < 0 or self.fired < self.times)
        fault = self.fault if meets else None
        self.fired += meets
        if fault in BEFORE:
            return await self._refuse(reader, writer, fault)
        answer = await self._passed_on(client, method, path, headers, body)
        return await self._spoil(reader, writer, fault, answer)

    async def _passed_on(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> bytes:
        sent = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        # A path of its own: httpx would normalise one that is joined to a base URL.
        url = httpx.URL(self.upstream).copy_with(raw_path=path.encode("latin-1"))
        async with client.stream(method, url, headers=sent, content=body) as answer:
            raw = b"".join([chunk async for chunk in answer.aiter_raw()])
            kept = "".join(
                f"{name}: {value}\r\n"
                for name, value in answer.headers.items()
                if name not in _HOP_BY_HOP and name != "content-type"
            )
            content_type = answer.headers.get("content-type", "text/plain")
            return http_answer(answer.status_code, raw, content_type=content_type, headers=kept)

    async def _refuse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: str
    ) -> bool:
        if fault in ("timeout_before", "reset_before"):
            return await self._hang_up(reader, writer, wait=fault == "timeout_before")
        status = {"error_before": 500, "unavailable": 503, "rate_limited": 429}[fault]
        wait = "" if status == 500 else f"retry-after: {self.retry_after}\r\n"
        writer.write(http_answer(status, b"{}", headers=wait))
        await writer.drain()
        return True

    async def _spoil(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: str | None,
        answer: bytes,
    ) -> bool:
        match fault:
            case "timeout_after" | "reset_after":
                return await self._hang_up(reader, writer, wait=fault == "timeout_after")
            case "error_after":
                answer = http_answer(500, b"{}")
            case "malformed":
                answer = http_answer(200, b"<html>It works!</html>", content_type="text/html")
            case "slow":
                await asyncio.sleep(self.delay_ms / 1000)
            case "drip":
                writer.write(answer[: self.whole_bytes])
                for byte in answer[self.whole_bytes :]:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(_DRIP_SECONDS)
                return True
        writer.write(answer)
        await writer.drain()
        return True

    async def _hang_up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, wait: bool
    ) -> bool:
        if wait:
            # Until the caller gives up: it sends nothing more, and then closes.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), _HANG_SECONDS)
        abort(writer)
        return False


@contextlib.asynccontextmanager
async def faulty(proxy: FaultProxy) -> AsyncIterator[str]:
    """Serve a proxy; yields the base URL, with the upstream's path."""
    async with serving(proxy) as base_url:
        yield base_url + httpx.URL(proxy.upstream).path.rstrip("/")
