"""Who may call a route: authentication, scope, rate, in this order and before anything is read.

A route says who may call it in its `dependencies`: `allows(Scope.X, ...)` for callers with one of
the scopes, or `PUBLIC`. A route that says neither is found by a test.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.callers import Caller
from api.problems import Problem
from api.tokens import TokenRefused, Tokens
from recompense.contracts.scopes import Scope
from recompense.persistence import api_keys
from recompense.persistence.database import Database

_KEY_IS_GOOD_FOR_SECONDS = 30.0
_KEYS_REMEMBERED = 4096
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Authenticator:
    """Tells who presents a token or an API key."""

    def __init__(self, tokens: Tokens, database: Database) -> None:
        self._tokens = tokens
        self._database = database
        # Under the digest, so that no key stays in memory. A key that is unknown is remembered too.
        self._known: OrderedDict[bytes, tuple[float, Caller | None]] = OrderedDict()

    async def caller(self, authorization: str | None) -> Caller:
        """The caller. Raises `Problem` 401."""
        scheme, _, credential = (authorization or "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential.isascii() or not credential:
            raise Problem("unauthenticated", headers=_CHALLENGE)
        if credential.startswith(api_keys.KEY_PREFIX):
            caller = await self._key_holder(credential)
        else:
            caller = await self._token_holder(credential)
        if caller is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem("unauthenticated", headers=challenge)
        return caller

    async def _token_holder(self, token: str) -> Caller | None:
        try:
            return await self._tokens.caller(token)
        except TokenRefused:
            return None

    async def _key_holder(self, key: str) -> Caller | None:
        digest = api_keys.digest_of(key)
        remembered = self._known.get(digest)
        if remembered is not None and remembered[0] > time.monotonic():
            return remembered[1]
        async with self._database.transaction() as session:
            row = await api_keys.find(session, key)
        caller = None
        if row is not None:
            scopes = frozenset(Scope(scope) for scope in row.scopes if scope in set(Scope))
            caller = Caller(row.subject, scopes, row.merchant_id)
        self._known[digest] = (time.monotonic() + _KEY_IS_GOOD_FOR_SECONDS, caller)
        while len(self._known) > _KEYS_REMEMBERED:
            self._known.popitem(last=False)
        return caller


class RateLimits:
    """How many requests one caller may make of this process."""

    def __init__(self, *, reads: str, writes: str) -> None:
        self._reads, self._writes = parse(reads), parse(writes)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, caller: Caller, method: str) -> None:
        """Count a request. Raises `Problem` 429."""
        kind, limit = ("reads", self._reads) if method == "GET" else ("writes", self._writes)
        if not await self._limiter.hit(limit, kind, caller.subject):
            raise Problem(
                "rate_limited", headers={"Retry-After": await self._wait(limit, caller, kind)}
            )

    async def _wait(self, limit: RateLimitItem, caller: Caller, kind: str) -> str:
        stats = await self._limiter.get_window_stats(limit, kind, caller.subject)
        return str(max(1, math.ceil(stats.reset_time - time.time())))


class Allows:
    """The dependency behind `allows` and `PUBLIC`."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = frozenset(scopes)

    async def __call__(self, request: Request) -> None:
        """Let the request pass, or refuse it."""
        if not self.scopes:
            return
        parts = request.app.state.parts
        caller: Caller = await parts.authenticator.caller(request.headers.get("authorization"))
        request.state.caller = caller
        if self.scopes.isdisjoint(caller.scopes):
            wanted = " or ".join(sorted(self.scopes))
            raise Problem("insufficient_scope", f"This needs the scope {wanted}.")
        await parts.rate_limits.take(caller, request.method)


def allows(*scopes: Scope) -> DependsParam:
    """Callers that have one of these scopes."""
    if not scopes:
        raise ValueError("name the scopes, or say PUBLIC")
    dependency: DependsParam = Depends(Allows(*scopes))
    return dependency


PUBLIC: DependsParam = Depends(Allows())
"""Everybody, without a token."""


def caller_of(request: Request) -> Caller:
    """The authenticated caller of a request that passed `allows`."""
    caller: Caller = request.state.caller
    return caller
