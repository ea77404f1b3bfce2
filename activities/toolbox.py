"""What activities work with, handed in by the composition root, and what they ask of Temporal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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
from recompense.contracts.reconciliation import SettlementTerms
from recompense.domain.payout_dates import Clock
from recompense.domain.terms import RoutingTerms
from recompense.persistence.database import Database
from recompense.persistence.operations import Run
from recompense.persistence.report_shelf import ReportShelf
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
class Settlement:
    """What reconciliation works with: tables in bulk, reports on their shelf, the terms that were
    agreed with each provider, and above how many minor units a write-off takes two people.
    """

    database: Database
    shelf: ReportShelf
    terms: Mapping[str, SettlementTerms] = field(default_factory=dict)
    write_off_approval_above: int = 10_000

    @classmethod
    def of(
        cls,
        database: Database,
        terms: Mapping[str, SettlementTerms],
        *,
        write_off_approval_above: int = 10_000,
    ) -> Settlement:
        """On one database."""
        return cls(database, ReportShelf(database.url), terms, write_off_approval_above)

    def terms_of(self, provider: str) -> SettlementTerms:
        """The terms of a provider; the ones that suit most where none were agreed."""
        return self.terms.get(provider, SettlementTerms())


@dataclass(frozen=True)
class Toolbox:
    """The dependencies of all activities.

    `routing` holds for merchants without terms of their own, and `default_provider` takes what no
    terms route; `now` is the worker's clock. Without `settlement` nothing is reconciled.
    """

    store: Store
    providers: Providers
    breakers: Breakers
    default_provider: str
    payout_bank: str = "main"
    settlement: Settlement | None = None
    routing: RoutingTerms = field(default_factory=RoutingTerms)
    now: Callable[[], datetime] = utc_now
    payout_runs: PayoutRunTools | None = None


def current_run() -> Run:
    """The Temporal run that the present activity works for."""
    info = activity.info()
    if info.workflow_id is None or info.workflow_run_id is None:
        raise RuntimeError("these activities only run for workflows")
    return Run(info.workflow_id, info.workflow_run_id)
