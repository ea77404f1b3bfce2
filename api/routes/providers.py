"""The providers: what they can do, the policies in force, and how they are doing."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from adapters.breaker import CLOSED, BreakerPhase, OperationClass
from adapters.registration import Provider
from api.access import allows
from api.openapi import reads
from api.pages import Page, PageOf, page
from api.parts import parts_of
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import Capabilities
from recompense.contracts.scopes import Scope
from recompense.persistence import reads as rows
from recompense.persistence.saga_tables import BreakerRow

router = APIRouter(tags=["providers"])


class BreakerView(BaseModel):
    """A circuit breaker's state for one class of calls."""

    phase: BreakerPhase
    failures: int


class ProviderView(BaseModel):
    """A provider. `health` is `up` when every breaker is closed, `down` when none is, else
    `degraded`.
    """

    name: str
    capabilities: Capabilities
    policies: ProviderPolicies
    breaker: dict[OperationClass, BreakerView]
    health: str


@router.get(
    "/v1/providers",
    dependencies=[allows(Scope.OPS_READ)],
    **reads(Page[ProviderView], "List the providers"),
)
async def list_providers(request: Request, query: PageOf) -> Response:
    """All providers that are served, by name."""
    parts = parts_of(request)
    after = query.after or ""
    served = [parts.providers[name] for name in sorted(parts.providers) if name > after]
    async with parts.database.transaction() as session:
        states = await rows.breaker_states(session)
    shown = [_view(provider, states) for provider in served[: query.limit + 1]]
    return page(shown, query.limit, lambda view: view, lambda view: view.name)


def _view(provider: Provider, states: Mapping[tuple[str, str], BreakerRow]) -> ProviderView:
    breaker = {
        operation_class: _breaker(states.get((provider.name, operation_class)))
        for operation_class in OperationClass
    }
    closed = sum(view.phase is BreakerPhase.CLOSED for view in breaker.values())
    health = "up" if closed == len(breaker) else "degraded" if closed else "down"
    return ProviderView(
        name=provider.name,
        capabilities=provider.capabilities,
        policies=provider.policies,
        breaker=breaker,
        health=health,
    )


def _breaker(state: BreakerRow | None) -> BreakerView:
    """A state that was never written is closed."""
    if state is None:
        return BreakerView(phase=CLOSED.phase, failures=CLOSED.failures)
    return BreakerView(phase=BreakerPhase(state.phase), failures=state.failures)
