"""What activities work with, handed in by the composition root, and what they ask of Temporal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from temporalio import activity

from activities.breakers import Breakers
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderPort,
)
from recompense.domain.terms import RoutingTerms
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
class Toolbox:
    """The dependencies of all activities.

    `routing` holds for merchants without terms of their own, and `default_provider` takes what no
    terms route; `now` is the worker's clock.
    """

    store: Store
    providers: Providers
    breakers: Breakers
    default_provider: str
    payout_bank: str = "main"
    routing: RoutingTerms = field(default_factory=RoutingTerms)
    now: Callable[[], datetime] = utc_now


def current_run() -> Run:
    """The Temporal run that the present activity works for."""
    info = activity.info()
    if info.workflow_id is None or info.workflow_run_id is None:
        raise RuntimeError("these activities only run for workflows")
    return Run(info.workflow_id, info.workflow_run_id)
