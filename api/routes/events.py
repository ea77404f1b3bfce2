"""The domain events, for callers who poll instead of taking webhooks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.access import allows, caller_of
from api.openapi import reads
from api.pages import Page, json_response
from api.parts import parts_of
from api.problems import invalid
from recompense.contracts.events import EventView
from recompense.contracts.scopes import Scope
from recompense.domain.ids import IdPrefix, is_id
from recompense.persistence import reads as rows

router = APIRouter(tags=["events"])


class EventQuery(BaseModel):
    """Where to go on."""

    limit: int = Field(default=20, ge=1, le=100, description="How many at most.")
    after: str | None = Field(default=None, max_length=64, description="The last event you have.")
    cursor: str | None = Field(
        default=None, max_length=64, description="`next_cursor` of the page before."
    )


@router.get(
    "/v1/events",
    dependencies=[allows(Scope.PAYMENTS_READ)],
    **reads(Page[EventView], "Read the domain events"),
)
async def list_events(request: Request, query: Annotated[EventQuery, Query()]) -> Response:
    """Oldest first, after an event's id. Whoever goes on from the last one misses none, whatever is
    committed meanwhile.
    """
    after = query.cursor or query.after
    found = None
    if after is None or is_id(IdPrefix.EVENT, after):
        async with parts_of(request).database.transaction() as session:
            found = await rows.events_after(
                session, after, caller_of(request).merchant_id, query.limit
            )
    if found is None:
        raise invalid("after", "unknown_event", "is no event that you have read")
    shown = [
        EventView(id=row.id, type=row.type, timestamp=row.at, data=row.data)
        for row in found[: query.limit]
    ]
    more = shown[-1].id if len(found) > query.limit else None
    return json_response(Page[EventView](data=shown, next_cursor=more))
