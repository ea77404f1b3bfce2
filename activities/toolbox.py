"""What activities work with, handed in by the composition root, and what they ask of Temporal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.breakers import Breakers
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderPort,
)
from recompense.domain.payout_dates import Clock
from recompense.persistence.database import Database
from recompense.persistence.operations import Run
from recompense.persistence.work import Store


class Providers(Protocol):
    """The registered providers: the adapter registry, as activities see it."""

    @property
    def names(self) -> Collection[str]: ...
    def port(self, provider: str) -> ProviderPort: ...
    def policies(self, provider: str) -> ProviderPolicies: ...
    def capabilities(self, provider: str) -> Capabilities: ...


def utc_now() -> datetime:
    """This worker's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class PayoutRunTools:
    """What payout runs need: their database, the platform's clock, and whether a person approves
    each run.
    """

    database: Database
    clock: Clock
    approval: bool = True


@dataclass(frozen=True)
class Toolbox:
    """The dependencies of all activities. `default_provider` takes what names no provider; `now` is
    the worker's clock.
    """

    store: Store
    providers: Providers
    breakers: Breakers
    default_provider: str
    payout_bank: str = "main"
    now: Callable[[], datetime] = utc_now
    payout_runs: PayoutRunTools | None = None


def current_run() -> Run:
    """The Temporal run that the present activity works for."""
    info = activity.info()
    if info.workflow_id is None or info.workflow_run_id is None:
        raise RuntimeError("these activities only run for workflows")
    return Run(info.workflow_id, info.workflow_run_id)
