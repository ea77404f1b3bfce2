"""The providers: what they can do, the policies in force, and how they are doing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from adapters.breaker import BreakerPhase, OperationClass
from api.access import allows
from api.openapi import reads
from api.pages import Page, PageOf, page
from api.parts import Parts, parts_of
from recompense.contracts.policies import ProviderPolicies
from recompense.contracts.provider import Capabilities
from recompense.contracts.scopes import Scope

router = APIRouter(tags=["providers"])


class BreakerView(BaseModel):
    """A circuit breaker's state for one class of calls."""

    phase: BreakerPhase
    failures: int


class ProviderView(BaseModel):
    """A provider.

    `health` is `up` when every breaker is closed, `down` when none is, else `degraded`.
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
    names = [name for name in sorted(parts.providers) if name > after]
    shown = [await _view(parts, name) for name in names[: query.limit + 1]]
    return page(shown, query.limit, lambda view: view, lambda view: view.name)


async def _view(parts: Parts, name: str) -> ProviderView:
    provider = parts.providers[name]
    breaker = {}
    for operation_class in OperationClass:
        state = await parts.breakers.load(name, operation_class)
        breaker[operation_class] = BreakerView(phase=state.phase, failures=state.failures)
    closed = sum(view.phase is BreakerPhase.CLOSED for view in breaker.values())
    health = "up" if closed == len(breaker) else "degraded" if closed else "down"
    return ProviderView(
        name=name,
        capabilities=provider.capabilities,
        policies=provider.policies,
        breaker=breaker,
        health=health,
    )
