"""Deliveries asked for by hand, and how the deliveries of an event stand.

Nothing is delivered from here: a request only makes the courier find something that is due.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.idempotency import Held, require_key
from api.openapi import acts, body_of, reads
from api.pages import Page, PageOf, page
from api.parts import parts_of
from api.problems import Problem
from api.requests import RedeliverEvent, SendTestEvent
from api.routes.webhook_endpoints import acted, endpoint_of
from recompense.contracts.events import EventView
from recompense.contracts.scopes import Scope
from recompense.contracts.views import View
from recompense.domain.ids import IdPrefix, is_id, new_id
from recompense.persistence import webhooks
from recompense.persistence.tables import DomainEvent
from recompense.persistence.webhooks import DeliveryRow

router = APIRouter(tags=["webhooks"])

_GUARDED = allows(Scope.WEBHOOKS_WRITE)
_WRITES = [_GUARDED, Depends(require_key)]
_TestBody = JsonBody(SendTestEvent, optional=True)
_RedeliverBody = JsonBody(RedeliverEvent, optional=True)


class DeliveryView(View):
    """How an event's delivery to one endpoint stands. `tries` counts those of the last request."""

    endpoint_id: str
    state: str
    tries: int
    last_outcome: str | None
    last_status: int | None
    next_attempt_at: datetime | None


class DeliveredEventView(EventView):
    """An event, and how its deliveries stand."""

    deliveries: list[DeliveryView]


@router.post(
    "/v1/webhook-endpoints/{endpoint_id}/test",
    dependencies=_WRITES,
    **acts(DeliveredEventView, "Send a test event"),
    openapi_extra=body_of(SendTestEvent, optional=True),
)
async def send_test_event(
    request: Request, endpoint_id: str, _: Annotated[SendTestEvent, Depends(_TestBody)]
) -> Response:
    """Deliver an event of type `webhook_endpoint.test` to this endpoint and no other.

    202 while it is on its way; the same key again tells how it stands.
    """
    chosen = new_id(IdPrefix.EVENT)
    endpoint = await endpoint_of(request, endpoint_id)

    async def change(session: AsyncSession, held: Held) -> Answer:
        if endpoint.status != webhooks.ENABLED:
            problem = Problem("webhook_endpoint_disabled", "Enable it first.")
            return answers.of_problem(problem, request.state.request_id)
        event_id = str(held.earlier.resource_id) if held.earlier else chosen
        event = await webhooks.make_test_event(session, endpoint, event_id)
        return await _delivered(request, session, event)

    return await acted(request, change, resource_id=chosen)


@router.post(
    "/v1/events/{event_id}/redeliver",
    dependencies=_WRITES,
    **acts(DeliveredEventView, "Deliver an event once more"),
    openapi_extra=body_of(RedeliverEvent, optional=True),
)
async def redeliver_event(
    request: Request, event_id: str, body: Annotated[RedeliverEvent, Depends(_RedeliverBody)]
) -> Response:
    """Deliver an event again under its id, to the enabled endpoints that take its type.

    202 while it is on its way; the same key again tells how it stands.
    """
    caller, event = caller_of(request), await _event(request, event_id)
    if body.endpoint_id is not None:
        await endpoint_of(request, body.endpoint_id)

    async def change(session: AsyncSession, held: Held) -> Answer:
        if held.earlier is None or held.earlier.status is None:
            await webhooks.send_again(
                session,
                event,
                seen_by=caller.merchant_id,
                endpoint_id=body.endpoint_id,
                actor=caller.subject,
            )
        return await _delivered(request, session, event)

    return await acted(request, change)


@router.get(
    "/v1/events/{event_id}/deliveries",
    dependencies=[_GUARDED],
    **reads(Page[DeliveryView], "Read how an event's deliveries stand"),
)
async def list_deliveries(request: Request, event_id: str, query: PageOf) -> Response:
    """By the endpoints' ids. `next_attempt_at` is null once a delivery is over."""
    event = await _event(request, event_id)
    async with parts_of(request).database.transaction() as session:
        rows = await webhooks.deliveries_of(
            session, event.id, seen_by=caller_of(request).merchant_id
        )
    after = query.after or ""
    rest = [row for row in rows if row.endpoint_id > after]
    return page(rest, query.limit, _delivery, lambda row: row.endpoint_id)


async def _event(request: Request, event_id: str) -> DomainEvent:
    """An event that the caller may see. Raises `Problem` 404."""
    found = None
    if is_id(IdPrefix.EVENT, event_id):
        async with parts_of(request).database.transaction() as session:
            found = await webhooks.find_event(session, event_id)
    if found is None or not caller_of(request).may_see(found.merchant_id):
        raise Problem("not_found", "There is no such event.")
    return found


async def _delivered(request: Request, session: AsyncSession, event: DomainEvent) -> Answer:
    rows = await webhooks.deliveries_of(session, event.id, seen_by=caller_of(request).merchant_id)
    shown = DeliveredEventView(
        id=event.id,
        type=event.type,
        timestamp=event.at,
        data=event.data,
        deliveries=[_delivery(row) for row in rows],
    )
    under_way = any(row.state == "pending" for row in rows)
    return Answer(
        202 if under_way else 200, shown.model_dump_json(), f"/v1/events/{event.id}/deliveries"
    )


def _delivery(row: DeliveryRow) -> DeliveryView:
    known = asdict(row)
    return DeliveryView(**{name: known[name] for name in DeliveryView.model_fields})
