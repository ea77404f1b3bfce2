"""Sends one delivery: to an address that was looked at, within one deadline, and no further.

The name is resolved for each try, each address is checked, and the connection goes to the very
address that was checked: a name that means something else a moment later leads nowhere. TLS and
the `Host` header still carry the name. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import httpcore

from adapters.statuses import retry_after_seconds
from recompense.webhooks.schedule import LONGEST_DELAY_SECONDS
from recompense.webhooks.targets import TargetRefused, check_url, is_public

DEADLINE_SECONDS = 10.0
"""From the first question to the resolver to the end of the answer."""
CONNECT_SECONDS = 3.0
MOST_OF_A_BODY_BYTES = 16 * 1024
_ADDRESSES_TRIED = 3
_RESOLVING_AT_ONCE = 32

Seconds = float
Resolve = Callable[[str, int], Awaitable[list[str]]]


class Outcome(StrEnum):
    """How a try has ended."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    GONE = "gone"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    FORBIDDEN_TARGET = "forbidden_target"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one try. `retry_after_seconds` is what the receiver asked for, capped."""

    outcome: Outcome
    status: int | None = None
    retry_after_seconds: float | None = None


class Sender:
    """Delivers over connections that serve one try each."""

    def __init__(
        self,
        *,
        allow_private: bool,
        deadline_seconds: float = DEADLINE_SECONDS,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        self._deadline_seconds = deadline_seconds
        # Of its own: resolvers that hang must not take the threads that others wait for.
        self._threads = ThreadPoolExecutor(_RESOLVING_AT_ONCE, thread_name_prefix="webhook-dns")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpcore.default_ssl_context(),
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Guarded(resolve or self._resolved, allow_private=allow_private),
        )

    async def aclose(self) -> None:
        """Close what is open, and wait for no resolver."""
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Try once. Every failure of the receiver's side is a result."""
        answered: Result | None = None
        try:
            check_url(url, allow_private=self._allow_private)
            async with (
                asyncio.timeout(self._deadline_seconds),
                self._pool.stream(
                    "POST", url, headers=[*headers.items(), ("connection", "close")], content=body
                ) as answer,
            ):
                # The status is the receiver's word, whatever becomes of the rest.
                answered = _result(answer)
                await _drain(answer)
        except (TimeoutError, httpcore.TimeoutException):
            return answered or Result(Outcome.TIMEOUT)
        except TargetRefused:
            return Result(Outcome.FORBIDDEN_TARGET)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError):
            return answered or Result(Outcome.UNREACHABLE)
        return answered

    async def _resolved(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[0]) for *_, address in found]


class _Guarded(httpcore.AsyncNetworkBackend):
    """Opens connections to checked addresses only."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Seconds | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the name's addresses that answers.

        Raises:
            TargetRefused: none of them may be connected to.
            httpcore.ConnectError, httpcore.ConnectTimeout: none of them answers.
        """
        found = dict.fromkeys(await self._resolve(host, port))
        allowed = [one for one in found if self._allow_private or is_public(one)]
        failed: Exception = TargetRefused("url_not_public", "leads to a private or local address")
        for address in allowed[:_ADDRESSES_TRIED]:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout or CONNECT_SECONDS, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def _result(answer: httpcore.Response) -> Result:
    status = answer.status
    if 200 <= status < 300:
        return Result(Outcome.DELIVERED, status)
    if status == 410:
        return Result(Outcome.GONE, status)
    headers = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
    asked = headers.get(b"retry-after")
    wait = retry_after_seconds(asked, cap_seconds=LONGEST_DELAY_SECONDS, now=datetime.now(UTC))
    return Result(Outcome.REJECTED, status, wait)


async def _drain(answer: httpcore.Response) -> None:
    """Read a little of the body, so that a well-behaved receiver sees no broken connection."""
    read = 0
    async for chunk in answer.aiter_stream():
        read += len(chunk)
        if read > MOST_OF_A_BODY_BYTES:
            return
