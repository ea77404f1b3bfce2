"""What the API works with, handed in by its factory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import Request
from temporalio.client import Client

from adapters.registration import Provider
from api.access import Authenticator, RateLimits
from api.gate import Gate
from api.idempotency import Idempotency
from api.known_merchants import KnownMerchants
from api.sagas import Sagas
from recompense.persistence.database import Database
from recompense.vault import Vault


@dataclass(frozen=True)
class Options:
    """What of the settings the routes need."""

    max_body_bytes: int = 65_536
    temporal_ui_url: str = "http://127.0.0.1:8233"
    default_provider: str = "sandbox"
    watch_interval_seconds: float = 15
    watch_stuck_after_seconds: float = 900
    webhook_allow_private_targets: bool = False


@dataclass(frozen=True)
class Parts:
    """One process's dependencies. Made in the lifespan, after any fork, and closed with it."""

    options: Options
    database: Database
    temporal: Client
    providers: Mapping[str, Provider]
    authenticator: Authenticator
    gate: Gate
    rate_limits: RateLimits
    idempotency: Idempotency
    sagas: Sagas
    merchants: KnownMerchants
    vault: Vault


def parts_of(request: Request) -> Parts:
    """The parts of the application that serves this request."""
    parts: Parts = request.app.state.parts
    return parts
