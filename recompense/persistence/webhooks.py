"""Webhook endpoints: made, shown, rotated, disabled and enabled, deleted; deliveries asked by hand.

Each change is audited. Secrets come and go sealed: nothing here can read them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.events import (
    ALL_EVENTS,
    ENDPOINT_DISABLED,
    TEST_EVENT,
    WebhookEndpointView,
)
from recompense.persistence.outbox import audit, emit
from recompense.persistence.reads import Filters
from recompense.persistence.tables import DomainEvent
from recompense.persistence.webhook_tables import WebhookDelivery, WebhookEndpoint

ENABLED, DISABLED, DELETED = "enabled", "disabled", "deleted"
MOST_ENDPOINTS = 100
"""How many endpoints one merchant has at most, and the platform of its own."""

_ROTATE = text("""
UPDATE webhook_endpoints
SET previous_secret = secret,
    previous_until = clock_timestamp() + make_interval(hours => :overlap_hours),
    secret = :secret, rotation = :rotation, updated_at = clock_timestamp()
WHERE id = :endpoint_id AND status <> 'deleted' AND rotation IS DISTINCT FROM :rotation
RETURNING id
""")

_AGAIN = text("""
INSERT INTO webhook_deliveries (endpoint_id, event_id)
SELECT w.id, :event_id FROM webhook_endpoints w
WHERE w.status = 'enabled'
  AND (w.merchant_id IS NULL OR w.merchant_id = :merchant_id)
  AND (CAST(:seen_by AS text) IS NULL OR w.merchant_id = :seen_by)
  AND (CAST(:endpoint_id AS text) IS NULL OR w.id = :endpoint_id)
  AND (EXISTS (SELECT FROM webhook_deliveries d
               WHERE d.endpoint_id = w.id AND d.event_id = :event_id)
       OR (CAST(:type AS text) <> :test
           AND (w.events @> CAST(ARRAY[:all] AS text[]) OR w.events @> ARRAY[CAST(:type AS text)])))
ON CONFLICT (endpoint_id, event_id) DO UPDATE
SET state = 'pending', tries = 0, began_at = NULL, next_attempt_at = clock_timestamp(),
    claims = webhook_deliveries.claims + 1, updated_at = clock_timestamp()
""")

_OF_EVENT = text("""
SELECT d.endpoint_id, d.event_id, e.type, d.state, d.tries, d.last_outcome, d.last_status,
       CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS next_attempt_at, d.created_at
FROM webhook_deliveries d
JOIN webhook_endpoints w ON w.id = d.endpoint_id
JOIN events e ON e.id = d.event_id
WHERE d.event_id = :event_id AND w.status <> 'deleted'
  AND (CAST(:seen_by AS text) IS NULL OR w.merchant_id = :seen_by)
ORDER BY d.endpoint_id
""")

_NEWEST = text("""
SELECT d.endpoint_id, d.event_id, e.type, d.state, d.tries, d.last_outcome, d.last_status,
       CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS next_attempt_at, d.created_at
FROM webhook_deliveries d JOIN events e ON e.id = d.event_id
WHERE d.endpoint_id = :endpoint_id ORDER BY d.created_at DESC LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """How a delivery stands. `next_attempt_at` is null once it is over."""

    endpoint_id: str
    event_id: str
    type: str
    state: str
    tries: int
    last_outcome: str | None
    last_status: int | None
    next_attempt_at: datetime | None
    created_at: datetime


class TooManyEndpoints(Exception):
    """The merchant has as many endpoints as it may have."""


async def create(
    session: AsyncSession,
    *,
    endpoint_id: str,
    merchant_id: str | None,
    url: str,
    events: Sequence[str],
    secret: str,
    actor: str,
) -> WebhookEndpoint:
    """Make an endpoint. A second call with its id returns the one that is there.

    Raises:
        TooManyEndpoints: no further one may be made.
    """
    found = await session.get(WebhookEndpoint, endpoint_id)
    if found is not None:
        return found
    of_merchant = col(WebhookEndpoint.merchant_id).is_not_distinct_from(merchant_id)
    living = col(WebhookEndpoint.status) != DELETED
    counted = await session.exec(
        select(func.count()).select_from(WebhookEndpoint).where(of_merchant, living)
    )
    if counted.one() >= MOST_ENDPOINTS:
        raise TooManyEndpoints
    made = await session.exec(
        insert(WebhookEndpoint)
        .values(
            id=endpoint_id,
            merchant_id=merchant_id,
            url=url,
            events=list(events),
            status=ENABLED,
            secret=secret,
            created_by=actor,
        )
        .returning(WebhookEndpoint)
    )
    audit(session, actor=actor, action="webhook_endpoint_create", target=endpoint_id)
    endpoint: WebhookEndpoint = made.scalar_one()
    return endpoint


async def find(session: AsyncSession, endpoint_id: str) -> WebhookEndpoint | None:
    """An endpoint that was not deleted."""
    found = await session.get(WebhookEndpoint, endpoint_id)
    return None if found is None or found.status == DELETED else found


async def listed(session: AsyncSession, filters: Filters) -> list[WebhookEndpoint]:
    """One page and one row more, newest first."""
    query = select(WebhookEndpoint).where(col(WebhookEndpoint.status) != DELETED)
    if filters.merchant_id is not None:
        query = query.where(WebhookEndpoint.merchant_id == filters.merchant_id)
    if filters.status is not None:
        query = query.where(WebhookEndpoint.status == filters.status)
    if filters.before_id is not None:
        query = query.where(col(WebhookEndpoint.id) < filters.before_id)
    if filters.created_after is not None:
        query = query.where(col(WebhookEndpoint.created_at) > filters.created_after)
    if filters.created_before is not None:
        query = query.where(col(WebhookEndpoint.created_at) < filters.created_before)
    found = await session.exec(
        query.order_by(col(WebhookEndpoint.id).desc()).limit(filters.limit + 1)
    )
    return list(found.all())


async def sealed_otherwise(session: AsyncSession, key_id: str) -> list[WebhookEndpoint]:
    """The endpoints, locked, with a secret that another key than this one has sealed."""
    other = [
        col(secret).not_like(f"{key_id}.%")
        for secret in (WebhookEndpoint.secret, WebhookEndpoint.previous_secret)
    ]
    found = await session.exec(select(WebhookEndpoint).where(or_(*other)).with_for_update())
    return list(found.all())


def reseal(endpoint: WebhookEndpoint, sealed_now: Callable[[str, str], str]) -> None:
    """Replace an endpoint's secrets by what `sealed_now` makes of each, for this owner."""
    if endpoint.secret is not None:
        endpoint.secret = sealed_now(endpoint.secret, endpoint.id)
    if endpoint.previous_secret is not None:
        endpoint.previous_secret = sealed_now(endpoint.previous_secret, endpoint.id)


async def rotate(
    session: AsyncSession,
    endpoint_id: str,
    *,
    secret: str,
    rotation: str,
    overlap_hours: int,
    actor: str,
) -> WebhookEndpoint | None:
    """Give an endpoint a new secret; the one before it signs too for so many hours.

    A second call with the same `rotation` changes nothing. None: there is no such endpoint.
    """
    values = {
        "endpoint_id": endpoint_id,
        "secret": secret,
        "rotation": rotation,
        "overlap_hours": overlap_hours,
    }
    connection = await session.connection()
    rotated = (await connection.execute(_ROTATE, values)).one_or_none()
    if rotated is not None:
        audit(session, actor=actor, action="webhook_secret_rotate", target=endpoint_id)
    return await find(session, endpoint_id)


async def delete(session: AsyncSession, endpoint_id: str, *, actor: str) -> bool:
    """Delete an endpoint and its secrets. What was on its way is not delivered any more."""
    values = {"status": DELETED, "secret": None, "previous_secret": None, "previous_until": None}
    gone = await _changed(session, endpoint_id, (ENABLED, DISABLED), values)
    if gone is not None:
        audit(session, actor=actor, action="webhook_endpoint_delete", target=endpoint_id)
    return gone is not None


async def enable(session: AsyncSession, endpoint_id: str, *, actor: str) -> WebhookEndpoint | None:
    """Deliver to a disabled endpoint again: what waits for it, and what comes.

    One that is enabled stays as it is. None: there is no such endpoint.
    """
    values = {"status": ENABLED, "enabled_at": func.clock_timestamp(), "failing_since": None}
    if await _changed(session, endpoint_id, (DISABLED,), values) is not None:
        audit(session, actor=actor, action="webhook_endpoint_enable", target=endpoint_id)
    return await find(session, endpoint_id)


async def disable(session: AsyncSession, endpoint_id: str, *, reason: str) -> bool:
    """Deliver to an endpoint no more, and tell so by an event. False: it was not enabled."""
    disabled = await _changed(session, endpoint_id, (ENABLED,), {"status": DISABLED})
    if disabled is None:
        return False
    audit(
        session,
        actor="courier",
        action="webhook_endpoint_disable",
        target=endpoint_id,
        reason=reason,
    )
    emit(session, ENDPOINT_DISABLED, endpoint_view(disabled), merchant_id=disabled.merchant_id)
    return True


async def make_test_event(
    session: AsyncSession, endpoint: WebhookEndpoint, event_id: str
) -> DomainEvent:
    """An event for this endpoint alone, on its way. A second call with its id makes no other."""
    found = await find_event(session, event_id)
    if found is not None:
        return found
    event = DomainEvent(
        id=event_id,
        type=TEST_EVENT,
        merchant_id=endpoint.merchant_id,
        data={"object": endpoint_view(endpoint).model_dump(mode="json")},
    )
    session.add(event)
    session.add(WebhookDelivery(endpoint_id=endpoint.id, event_id=event_id))
    await session.flush()
    await session.refresh(event)
    return event


async def find_event(session: AsyncSession, event_id: str) -> DomainEvent | None:
    """An event by its id."""
    found = await session.exec(select(DomainEvent).where(DomainEvent.id == event_id))
    return found.one_or_none()


async def send_again(
    session: AsyncSession,
    event: DomainEvent,
    *,
    seen_by: str | None,
    endpoint_id: str | None,
    actor: str,
) -> None:
    """Deliver an event once more to the enabled endpoints that take it, or to one of them.

    `seen_by` is the merchant whose endpoints are meant; None: all. Three days begin anew.
    """
    values: dict[str, Any] = {
        "event_id": event.id,
        "type": event.type,
        "merchant_id": event.merchant_id,
        "seen_by": seen_by,
        "endpoint_id": endpoint_id,
        "all": ALL_EVENTS,
        "test": TEST_EVENT,
    }
    await (await session.connection()).execute(_AGAIN, values)
    audit(session, actor=actor, action="event_redeliver", target=event.id)


async def deliveries_of(
    session: AsyncSession, event_id: str, *, seen_by: str | None
) -> list[DeliveryRow]:
    """How the deliveries of an event stand."""
    values = {"event_id": event_id, "seen_by": seen_by}
    rows = await (await session.connection()).execute(_OF_EVENT, values)
    return [DeliveryRow(**row._mapping) for row in rows]


async def newest_deliveries(
    session: AsyncSession, endpoint_id: str, most: int
) -> list[DeliveryRow]:
    """The newest deliveries to an endpoint."""
    values = {"endpoint_id": endpoint_id, "most": most}
    rows = await (await session.connection()).execute(_NEWEST, values)
    return [DeliveryRow(**row._mapping) for row in rows]


def endpoint_view(endpoint: WebhookEndpoint) -> WebhookEndpointView:
    """An endpoint as it is shown: without its secrets."""
    return WebhookEndpointView(
        id=endpoint.id,
        url=endpoint.url,
        events=list(endpoint.events),
        merchant_id=endpoint.merchant_id,
        status=endpoint.status,
        created_at=endpoint.created_at,
    )


async def _changed(
    session: AsyncSession, endpoint_id: str, states: Sequence[str], values: dict[str, Any]
) -> WebhookEndpoint | None:
    """Change an endpoint that is in one of these states. None: it is not."""
    changed = await session.exec(
        update(WebhookEndpoint)
        .where(col(WebhookEndpoint.id) == endpoint_id, col(WebhookEndpoint.status).in_(states))
        .values(values)
        .returning(WebhookEndpoint)
        .execution_options(populate_existing=True)
    )
    found: WebhookEndpoint | None = changed.scalar_one_or_none()
    return found
