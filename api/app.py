"""The composition root of the API: settings become parts, parts become the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from adapters import registry
from adapters.transport import ObservedTransport
from api.access import Authenticator, RateLimits
from api.application import build_app
from api.gate import Gate
from api.idempotency import Idempotency
from api.known_merchants import KnownMerchants
from api.parts import Options, Parts
from api.sagas import Sagas
from api.tokens import PublishedKeys, Tokens, file_keys, published_keys
from recompense.contracts.provider import CallRecord
from recompense.observability import configure_logging
from recompense.persistence.claims import Claims
from recompense.persistence.database import Database
from recompense.settings import Settings, load_settings
from recompense.temporal import connect
from recompense.vault import Vault

_EXPIRY_BATCH = 1000
_EXPIRY_INTERVAL_SECONDS = 3600.0


def create_app() -> FastAPI:
    """The application of this process's settings, for `uvicorn --factory api.app:create_app`."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    return build_app(lambda: open_parts(settings))


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Make the parts, and close them in the opposite order.

    Neither the database nor Temporal has to be up: requests are answered with 503 until they are.
    """
    async with AsyncExitStack() as closing:
        database = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size_api,
            statement_timeout_seconds=settings.statement_timeout_seconds,
            application_name="recompense-api",
        )
        closing.push_async_callback(database.close)
        transport = ObservedTransport(_nothing_to_note)
        closing.push_async_callback(transport.aclose)
        temporal = await connect(settings, lazy=True)
        claims = Claims(database)
        await closing.enter_async_context(
            _in_background(_forget_old_keys(claims, settings.idempotency_retention_days))
        )
        yield Parts(
            options=Options(
                max_body_bytes=settings.max_body_bytes,
                temporal_ui_url=settings.temporal_ui_url,
                default_provider=settings.default_provider,
                watch_interval_seconds=settings.watch_interval_seconds,
                watch_stuck_after_seconds=settings.watch_stuck_after_seconds,
                webhook_allow_private_targets=settings.webhook_allow_private_targets,
            ),
            database=database,
            temporal=temporal,
            providers={
                name: registry.build(
                    name,
                    settings.provider_config(name),
                    transport=transport,
                    overrides=settings.policy_overrides.get(name),
                )
                for name in settings.providers
            },
            authenticator=Authenticator(_tokens(settings), database),
            gate=Gate(settings.api_max_in_flight),
            rate_limits=RateLimits(
                reads=settings.rate_limit_reads, writes=settings.rate_limit_writes
            ),
            idempotency=Idempotency(claims),
            sagas=Sagas(temporal),
            merchants=KnownMerchants(database),
            vault=Vault(settings.payload_keys),
        )


async def _forget_old_keys(claims: Claims, retention_days: int) -> None:
    """Delete claims past their time, hour by hour, in batches that no request notices."""
    while True:
        deleted = 0
        with suppress(SQLAlchemyError, OSError):
            deleted = await claims.expire(older_than_days=retention_days, limit=_EXPIRY_BATCH)
        await asyncio.sleep(1 if deleted == _EXPIRY_BATCH else _EXPIRY_INTERVAL_SECONDS)


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def _tokens(settings: Settings) -> Tokens:
    fetch = None
    if settings.jwks_file is not None:
        fetch = file_keys(settings.jwks_file)
    elif settings.jwks_url is not None:
        fetch = published_keys(settings.jwks_url)
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    return Tokens(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        secret=secret,
        keys=PublishedKeys(fetch) if fetch else None,
    )


def _nothing_to_note(_: CallRecord) -> None:
    """The API verifies webhooks with the adapters; it calls no provider."""
