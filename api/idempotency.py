"""Idempotency keys: one key, one operation, one answer.

The path without faults is two transactions: the claim, and the stored answer. Everything else
(another request's claim, a lease that lapsed, an answer that was only 202) costs what it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from fastapi import Request
from starlette.responses import Response

from api.access import caller_of
from api.answers import Answer
from api.problems import RETRY_SOON, Problem
from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.words import AnySagaInput
from recompense.persistence.claims import ACCEPTED, Claims, NewClaim, StoredClaim

_RENEW_EVERY_SECONDS = 1.5
_LONGEST_KEY = 255

log = structlog.get_logger()


@dataclass(frozen=True)
class Held:
    """A claim that this request works on. `earlier` is what an earlier request left behind: its ids
    count.
    """

    new: NewClaim
    earlier: StoredClaim | None = None


Perform = Callable[[Held], Awaitable[Answer]]


class NeverStarted(Exception):
    """The operation was provably never started: the claim may be forgotten."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Idempotency:
    """Runs each operation under its key's claim."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._running: set[asyncio.Task[Response]] = set()

    async def once(self, new: NewClaim, perform: Perform) -> Response:
        """Perform the operation once for its key, or answer what is known of it.

        A caller that hangs up cancels nothing: the operation is finished and its answer stored.
        Raises `Problem`: 409 `idempotency_key_in_use`, 422 `idempotency_key_reused`.
        """
        task = asyncio.create_task(self._once(new, perform))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for what callers no longer wait for."""
        if self._running:
            await asyncio.wait(self._running)

    def _forget(self, task: asyncio.Task[Response]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def _once(self, new: NewClaim, perform: Perform) -> Response:
        earlier = await self._claims.claim(new)
        if earlier is None:
            return await self._hold(Held(new), perform)
        if earlier.fingerprint != new.fingerprint:
            raise Problem("idempotency_key_reused")
        if earlier.is_final:
            return _replayed(earlier)
        if earlier.status is None and not await self._take_over(earlier, new):
            raise Problem("idempotency_key_in_use", headers=RETRY_SOON)
        return await self._hold(Held(new, earlier), perform)

    async def _take_over(self, earlier: StoredClaim, new: NewClaim) -> bool:
        return earlier.lapsed and await self._claims.take_over(earlier, new.holder)

    async def _hold(self, held: Held, perform: Perform) -> Response:
        renewal = _Renewal(self._claims, held.new)
        try:
            answer = await perform(held)
        except NeverStarted as never:
            if held.earlier is None:
                await self._claims.drop(held.new.id, held.new.holder)
            raise never.problem from None
        except Exception:
            await self._give_up(held.new)
            raise
        finally:
            renewal.stop()
        return await self._store(held.new.id, answer)

    async def _give_up(self, new: NewClaim) -> None:
        """Let a retry in at once. What cannot be written now lapses by itself."""
        try:
            await self._claims.release(new.id, new.holder)
        except Exception as error:
            log.warning("idempotency.not_released", error=type(error).__name__)

    async def _store(self, claim_id: bytes, answer: Answer) -> Response:
        stored = await self._claims.answer(claim_id, answer.status, answer.body, answer.location)
        if stored or answer.status == ACCEPTED:
            return answer.response()
        # Somebody else's final answer stands already, and one key has one answer.
        first = await self._claims.read(claim_id)
        return _replayed(first) if first is not None and first.is_final else answer.response()


class _Renewal:
    """Renews a lease for as long as the request lives; a short request never gets that far."""

    def __init__(self, claims: Claims, new: NewClaim) -> None:
        self._claims, self._new = claims, new
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_RENEW_EVERY_SECONDS, self._begin)

    def stop(self) -> None:
        """Renew no more."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            try:
                await self._claims.renew(self._new.id, self._new.holder)
            except Exception as error:
                # The next try is soon; when none succeeds, the lease lapses as it should.
                log.warning("idempotency.not_renewed", error=type(error).__name__)
            await asyncio.sleep(_RENEW_EVERY_SECONDS)


async def require_key(request: Request) -> None:
    """The dependency that reads the Idempotency-Key. Raises `Problem` 400."""
    request.state.idempotency_key = key_of(request)


def key_of(request: Request) -> str:
    """The key, bare or as a structured-header string in quotes (RFC 9651, section 3.3.3)."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        raise Problem("idempotency_key_missing")
    key = _unquoted(given[0].strip(" \t"))
    visible = key is not None and all("!" <= character <= "~" for character in key)
    if len(given) > 1 or key is None or not visible or not 0 < len(key) <= _LONGEST_KEY:
        raise Problem(
            "idempotency_key_invalid", f"A key is 1 to {_LONGEST_KEY} visible ASCII characters."
        )
    return key


def claim_for(
    request: Request,
    *,
    merchant_id: str | None = None,
    resource_id: str | None = None,
    saga: AnySagaInput | PayoutRunInput | None = None,
) -> NewClaim:
    """The claim of this request, after its key and its body have been read."""
    return NewClaim(
        caller=caller_of(request).subject,
        method=request.method,
        path=request.url.path,
        key=request.state.idempotency_key,
        fingerprint=request.state.fingerprint,
        merchant_id=merchant_id,
        resource_id=resource_id,
        saga=saga,
    )


def _unquoted(text: str) -> str | None:
    """The content of a quoted string, or the bare text itself. None: the quotes are broken."""
    if not text.startswith('"'):
        return text
    if len(text) < 2 or not text.endswith('"'):
        return None
    content, characters = "", iter(text[1:-1])
    for character in characters:
        if character == '"':
            return None
        if character == "\\":
            character = next(characters, "")
            if character not in {'"', "\\"} or not character:
                return None
        content += character
    return content


def _replayed(claim: StoredClaim) -> Response:
    return Answer(claim.status or 0, claim.body or "", claim.location).response(replayed=True)
