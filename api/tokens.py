"""Access tokens: JSON Web Tokens signed by a secret of ours (HS256) or by a key of a JWKS (RS256,
ES256).

The algorithm that a token names only chooses among those that its kind of key allows: a public key
is never taken for a secret (RFC 8725, section 3.1).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from api.callers import Caller
from api.problems import RETRY_SOON, Problem
from recompense.contracts.scopes import Scope

_SIGNED_BY_KEY = ["RS256", "ES256"]
_SIGNED_BY_SECRET = ["HS256"]
_LEEWAY_SECONDS = 5
_KEYS_ARE_GOOD_FOR_SECONDS = 300.0
_ASK_AGAIN_AFTER_SECONDS = 10.0
_LONGEST_SUBJECT = 255
_MALFORMED = (ValueError, KeyError, TypeError, RecursionError)
"""What reading JSON and its members raises, whatever the text is: a deep one exhausts the stack."""

FetchKeys = Callable[[], Awaitable[bytes]]


class TokenRefused(Exception):
    """The token is not one of ours, or not any more."""


class PublishedKeys:
    """A JSON Web Key Set that is read again now and then, and when a token names an unknown key."""

    def __init__(self, fetch: FetchKeys) -> None:
        self._fetch = fetch
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def current(self, key_id: str | None) -> KeySet:
        """The keys. Raises `Problem` (503) when they were never read and cannot be now."""
        async with self._lock:
            age = time.monotonic() - self._read_at
            missing = self._keys is None or not _has(self._keys, key_id)
            if age > _KEYS_ARE_GOOD_FOR_SECONDS or (missing and age > _ASK_AGAIN_AFTER_SECONDS):
                await self._read()
        if self._keys is None:
            raise Problem("keys_unavailable", headers=RETRY_SOON)
        return self._keys

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            document = json.loads(await self._fetch())
            # A symmetric key in a published set would let anybody sign.
            public = [key for key in document["keys"] if key.get("kty") in {"RSA", "EC"}]
            self._keys = KeySet.import_key_set({"keys": public})
        except (OSError, httpx.HTTPError, JoseError, *_MALFORMED):
            # The keys that are known stay good: an issuer that is down for a while locks nobody
            # out.
            return


class Tokens:
    """Verifies access tokens."""

    def __init__(
        self, *, issuer: str, audience: str, secret: str | None, keys: PublishedKeys | None
    ) -> None:
        self._secret = OctKey.import_key(secret) if secret else None
        self._keys = keys
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            exp={"essential": True},
            sub={"essential": True},
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
        )

    async def caller(self, token: str) -> Caller:
        """Who presents this token. Raises `TokenRefused`, whatever the text is."""
        try:
            header = _header(token)
            key, algorithms = await self._key(header)
            decoded = jwt.decode(token, key, algorithms=algorithms)
            self._claims.validate(decoded.claims)
        except (JoseError, *_MALFORMED) as error:
            raise TokenRefused(str(error)) from error
        return _caller(decoded.claims)

    async def _key(self, header: dict[str, Any]) -> tuple[OctKey | KeySet, list[str]]:
        algorithm = header.get("alg")
        if algorithm in _SIGNED_BY_SECRET and self._secret is not None:
            return self._secret, _SIGNED_BY_SECRET
        if algorithm in _SIGNED_BY_KEY and self._keys is not None:
            key_id = header.get("kid")
            keys = await self._keys.current(key_id if isinstance(key_id, str) else None)
            return keys, _SIGNED_BY_KEY
        raise TokenRefused("no key for this algorithm")


def file_keys(path: Path) -> FetchKeys:
    """Read the key set from a file."""

    async def fetch() -> bytes:
        return await asyncio.to_thread(path.read_bytes)

    return fetch


def published_keys(url: str) -> FetchKeys:
    """Read the key set from its address."""

    async def fetch() -> bytes:
        async with httpx.AsyncClient(timeout=2) as client:
            answer = await client.get(url)
            return answer.raise_for_status().content

    return fetch


def _header(token: str) -> dict[str, Any]:
    part = token.partition(".")[0]
    padded = part + "=" * (-len(part) % 4)
    header = json.loads(base64.urlsafe_b64decode(padded))
    if not isinstance(header, dict):
        raise TokenRefused("the header is not an object")
    return header


def _caller(claims: dict[str, Any]) -> Caller:
    subject, scope, merchant = claims["sub"], claims.get("scope", ""), claims.get("merchant_id")
    well_formed = (
        isinstance(subject, str)
        and 0 < len(subject) <= _LONGEST_SUBJECT
        and subject.isprintable()
        and isinstance(scope, str)
        and (merchant is None or (isinstance(merchant, str) and merchant.isprintable()))
    )
    if not well_formed:
        raise TokenRefused("a claim is malformed")
    known = frozenset(Scope)
    return Caller(subject, frozenset(known.intersection(scope.split())), merchant)


def _has(keys: KeySet, key_id: str | None) -> bool:
    return key_id is None or any(key.kid == key_id for key in keys.keys)
