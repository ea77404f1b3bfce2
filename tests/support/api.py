"""The API for tests: served over real HTTP from a thread of its own, with workers beside it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import uvicorn
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from adapters import registry
from adapters.transport import ObservedTransport
from api.access import Authenticator, RateLimits
from api.application import OpenParts, build_app
from api.gate import Gate
from api.idempotency import Idempotency
from api.known_merchants import KnownMerchants
from api.parts import Options, Parts
from api.sagas import Sagas
from api.tokens import PublishedKeys, Tokens
from recompense.contracts.scopes import Scope
from recompense.persistence.claims import Claims
from recompense.persistence.database import Database
from tests.support.sandbox import free_port

SECRET = "a-secret-of-the-tests-that-is-long-enough"
AUDIENCE = "recompense"
WEBHOOK_SECRET = "a_test_secret"
EVERY_SCOPE = tuple(Scope)
_START_SECONDS = 30.0


@asynccontextmanager
async def make_parts(
    database_url: str,
    temporal_address: str,
    *,
    keys: PublishedKeys | None = None,
    writes: str = "10000/second",
    max_in_flight: int = 64,
    statement_timeout_seconds: float = 1.5,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
    default_provider: str = "sandbox",
) -> AsyncIterator[Parts]:
    """The parts of an API on real PostgreSQL and real Temporal, whether they are up or not.

    `beside` the sandbox other providers may be configured, by name.
    """
    database = Database(database_url, statement_timeout_seconds=statement_timeout_seconds)
    transport = ObservedTransport(lambda _: None)
    client = await Client.connect(
        temporal_address, data_converter=pydantic_data_converter, lazy=True
    )
    sandbox = {"base_url": "http://127.0.0.1:9", "webhook_secrets": [WEBHOOK_SECRET]}
    configs = {"sandbox": sandbox, **(beside or {})}
    tokens = Tokens(issuer=AUDIENCE, audience=AUDIENCE, secret=SECRET, keys=keys)
    try:
        yield Parts(
            options=Options(default_provider=default_provider),
            database=database,
            temporal=client,
            providers={
                name: registry.build(name, config, transport=transport)
                for name, config in configs.items()
            },
            authenticator=Authenticator(tokens, database),
            gate=Gate(max_in_flight),
            rate_limits=RateLimits(reads="10000/second", writes=writes),
            idempotency=Idempotency(Claims(database)),
            sagas=Sagas(client),
            merchants=KnownMerchants(database),
        )
    finally:
        await transport.aclose()
        await database.close()


def mint(
    subject: str = "tester",
    scopes: tuple[str, ...] = EVERY_SCOPE,
    merchant_id: str | None = None,
    **claims: Any,
) -> str:
    """A token of the tests' issuer."""
    body: dict[str, Any] = {
        "sub": subject,
        "scope": " ".join(scopes),
        "iss": AUDIENCE,
        "aud": AUDIENCE,
        "exp": int(time.time()) + 600,
        **claims,
    }
    if merchant_id is not None:
        body["merchant_id"] = merchant_id
    return jwt.encode({"alg": "HS256"}, body, OctKey.import_key(SECRET))


def fresh_key() -> str:
    """An idempotency key that nobody has used."""
    return f"key-{uuid4().hex}"


@dataclass
class Api:
    """A served API, as its callers see it."""

    base_url: str
    http: httpx.Client
    app: FastAPI
    database_url: str = ""
    temporal_address: str = ""
    default_headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """Read."""
        headers = {"Authorization": f"Bearer {token or mint()}"}
        return self.http.get(path, headers=headers, **options)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Write, under a key of its own unless one is given."""
        sent = {
            "Authorization": f"Bearer {token or mint()}",
            "Idempotency-Key": key or fresh_key(),
            "Content-Type": "application/json",
            **(headers or {}),
        }
        if content is not None:
            return self.http.post(path, content=content, headers=sent)
        return self.http.post(path, json=body if body is not None else {}, headers=sent)


Beside = Callable[[], contextlib.AbstractAsyncContextManager[Any]]


@contextlib.contextmanager
def served(
    open_parts: OpenParts, beside: Beside | None = None, *, port: int | None = None
) -> Iterator[Api]:
    """Serve the API from a thread, together with what runs `beside` it (workers)."""
    port = port or free_port()
    app = build_app(open_parts)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, loop="asyncio"
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            if beside is not None:
                await stack.enter_async_context(beside())
            await server.serve()

    thread = threading.Thread(target=_run, args=(serve,), daemon=True)
    thread.start()
    _wait_until(lambda: server.started or not thread.is_alive())
    if not server.started:
        raise RuntimeError("the API did not start")
    base_url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base_url, trust_env=False, timeout=60) as http:
        try:
            yield Api(base_url, http, app)
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def _run(serve: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await serve()

    asyncio.run(main())


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the API does not start")
        time.sleep(0.02)
