"""The one HTTP transport that all adapters share: every call to a provider is timed, limited and
recorded here.

It answers the question on which money hangs: may bytes of this request have gone out? Whatever
fails before the first byte raises `ProviderUnavailable`, whatever fails after it `OutcomeUnknown`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from recompense.contracts.policies import CallPolicy
from recompense.contracts.provider import (
    CallRecord,
    ProviderOperation,
)
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable, RecompenseError

_MAXIMUM_ANSWER_BYTES = 1024 * 1024
_FIRST_BYTE_EVENTS = ("http11.send_request_headers.started", "http2.send_request_headers.started")

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class ProviderRequest:
    """One request to a provider.

    After `send_by` it is refused instead of written; None: it moves no money.
    """

    provider: str
    operation: ProviderOperation
    method: str
    url: str
    policy: CallPolicy
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = field(default=None, repr=False)
    effect_key: str | None = None
    send_by: datetime | None = None

    @property
    def deadline_seconds(self) -> float:
        """The total time of the call; httpx itself only bounds each single read."""
        return self.policy.connect_timeout_seconds + self.policy.read_timeout_seconds


@dataclass(frozen=True)
class ProviderAnswer:
    """What came back, whole. Nothing in it has been believed yet."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


_answers: ContextVar[list[ProviderAnswer] | None] = ContextVar("provider_answers", default=None)


@contextmanager
def noted_answers() -> Iterator[list[ProviderAnswer]]:
    """Collect the answers that come in inside this block, for a shadow to read as well."""
    answers: list[ProviderAnswer] = []
    token = _answers.set(answers)
    try:
        yield answers
    finally:
        _answers.reset(token)


def _note(answer: ProviderAnswer) -> None:
    answers = _answers.get()
    if answers is not None:
        answers.append(answer)


@dataclass
class _Progress:
    """How far one request got."""

    request: ProviderRequest
    now: Callable[[], datetime]
    at: datetime
    started: float
    may_be_sent: bool = False
    status: int | None = None

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """httpcore calls this right before it writes: the last moment at which not to."""
        if event in _FIRST_BYTE_EVENTS and not self.may_be_sent:
            send_by = self.request.send_by
            if send_by is not None and self.now() > send_by:
                raise ProviderUnavailable(
                    "the send right had passed before the request was written"
                )
            self.may_be_sent = True

    def failure(self, error: Exception) -> RecompenseError:
        """The failure in our words; the vendor's text and our URL stay out of it."""
        what = type(error).__name__
        if self.may_be_sent:
            return OutcomeUnknown(f"no usable answer after the request may have gone out: {what}")
        return ProviderUnavailable(f"nothing was sent: {what}")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ObservedTransport:
    """Calls providers and tells `on_call` about every call, however it ended."""

    def __init__(
        self,
        on_call: Callable[[CallRecord], None],
        *,
        maximum_connections: int = 200,
        now: Callable[[], datetime] = _utc_now,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._on_call = on_call
        self._now = now
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(
                max_connections=maximum_connections,
                max_keepalive_connections=maximum_connections,
                # Shorter than servers keep an idle connection, so that a reused one is rarely being
                # closed.
                keepalive_expiry=15,
            ),
            follow_redirects=False,
            # Proxies and netrc of the environment must not see provider credentials.
            trust_env=False,
            transport=network,
        )

    async def call(
        self, request: ProviderRequest, read: Callable[[ProviderAnswer], _Read]
    ) -> _Read:
        """Make one call and return what `read` makes of the answer.

        Raises: `ProviderUnavailable`, `OutcomeUnknown`, or whatever `read` raises.
        """
        async with self._observed(request) as progress:
            async with (
                asyncio.timeout(request.deadline_seconds),
                self._answer(progress) as response,
            ):
                body = await _whole_body(response)
            answer = ProviderAnswer(response.status_code, response.headers, body)
            _note(answer)
            result = read(answer)
            self._record(progress, _name_of(result))
            return result

    async def stream(
        self, request: ProviderRequest, check: Callable[[ProviderAnswer], None]
    ) -> AsyncIterator[bytes]:
        """Stream an answer of any size; each read has the policy's time.

        `check` sees status and headers first.
        """
        async with self._observed(request) as progress:
            async with self._answer(progress) as response:
                check(ProviderAnswer(response.status_code, response.headers, b""))
                async for chunk in response.aiter_bytes():
                    yield chunk
            self._record(progress, "answered")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def _answer(self, progress: _Progress) -> AsyncIterator[httpx.Response]:
        request = progress.request
        timeout = httpx.Timeout(
            request.policy.read_timeout_seconds, connect=request.policy.connect_timeout_seconds
        )
        async with self._client.stream(
            request.method,
            request.url,
            params=request.query or None,
            headers=request.headers,
            json=request.json,
            timeout=timeout,
            extensions={"trace": progress.trace},
        ) as response:
            progress.status = response.status_code
            yield response

    @asynccontextmanager
    async def _observed(self, request: ProviderRequest) -> AsyncIterator[_Progress]:
        progress = _Progress(request, self._now, self._now(), time.monotonic())
        try:
            yield progress
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as error:
            failure = progress.failure(error)
            self._record(progress, _name_of(failure))
            raise failure from error
        except BaseException as error:
            self._record(progress, _name_of(error))
            raise

    def _record(self, progress: _Progress, outcome: str) -> None:
        request = progress.request
        self._on_call(
            CallRecord(
                provider=request.provider,
                operation=request.operation,
                effect_key=request.effect_key,
                at=progress.at,
                status=progress.status,
                duration_ms=round((time.monotonic() - progress.started) * 1000),
                outcome=outcome,
            )
        )


async def _whole_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAXIMUM_ANSWER_BYTES:
            raise OutcomeUnknown("the answer is larger than any answer of this provider")
    return bytes(body)


def _name_of(result: object) -> str:
    """An outcome's `kind`, a look-up's answer's `kind`, or a failure's name."""
    told = getattr(result, "answer", result)
    return getattr(told, "kind", type(told).__name__)
