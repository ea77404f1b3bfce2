"""Handing events out to the endpoints that take them, and who tries which delivery when.

Each call is one short transaction of its caller; nothing is sent inside of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from recompense.contracts.events import ALL_EVENTS, TEST_EVENT

PAGE = 500
"""How many events one transaction hands out."""

_AHEAD = text("""
SELECT EXISTS (
    SELECT FROM webhook_cursor c CROSS JOIN LATERAL (
        SELECT FROM events e
        WHERE (e.created, e.seq) > (c.created, c.seq)
          AND e.created < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.created, e.seq LIMIT 1
    ) AS waiting)
""")

_CURSOR = text("""
SELECT CAST(created AS text) AS created, seq FROM webhook_cursor FOR UPDATE SKIP LOCKED
""")

# The same page and the same horizon as the feed's: what commits late is never passed by.
_PAGE = text("""
SELECT id, CAST(created AS text) AS created, seq FROM events
WHERE (created, seq) > (CAST(:created AS xid8), :seq)
  AND created < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY created, seq LIMIT :most
""")

_HAND_OUT = text("""
INSERT INTO webhook_deliveries (endpoint_id, event_id)
SELECT w.id, e.id
FROM events e
JOIN webhook_endpoints w
  ON w.status = 'enabled'
 AND (w.merchant_id IS NULL OR w.merchant_id = e.merchant_id)
 AND (w.events @> CAST(ARRAY[:all] AS text[]) OR w.events @> ARRAY[e.type])
WHERE e.id = ANY(:ids) AND e.type <> :test
ORDER BY e.created, e.seq
ON CONFLICT DO NOTHING
""")

_MOVE = text("UPDATE webhook_cursor SET created = CAST(:created AS xid8), seq = :seq")

_DUE = text("""
SELECT e.id, e.failing_since IS NOT NULL AS failing FROM webhook_endpoints e
WHERE e.status = 'enabled' AND EXISTS (
    SELECT FROM webhook_deliveries d
    WHERE d.endpoint_id = e.id AND d.state = 'pending'
      AND d.next_attempt_at <= statement_timestamp())
""")

# While it is claimed, a delivery is due again only when its courier must be dead.
_CLAIM = text("""
WITH taken AS (
    SELECT d.endpoint_id, d.event_id FROM webhook_deliveries d
    WHERE d.endpoint_id = :endpoint_id AND d.state = 'pending'
      AND d.next_attempt_at <= statement_timestamp()
    ORDER BY d.next_attempt_at LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries d
SET claims = d.claims + 1,
    began_at = coalesce(d.began_at, clock_timestamp()),
    next_attempt_at = clock_timestamp() + make_interval(secs => :lease),
    updated_at = clock_timestamp()
FROM taken, webhook_endpoints w, events e
WHERE d.endpoint_id = taken.endpoint_id AND d.event_id = taken.event_id
  AND w.id = d.endpoint_id AND w.status = 'enabled' AND e.id = d.event_id
RETURNING d.endpoint_id, d.event_id, d.claims, d.tries, w.url, w.secret,
          CASE WHEN w.previous_until > clock_timestamp() THEN w.previous_secret END
              AS previous_secret,
          e.type, e.at, e.data, e.seq
""")

_TAKEN = text("""
UPDATE webhook_deliveries
SET state = 'delivered', tries = tries + 1, last_outcome = :outcome, last_status = :status,
    updated_at = clock_timestamp()
WHERE endpoint_id = :endpoint_id AND event_id = :event_id AND claims = :claims
RETURNING endpoint_id
""")

# The endpoint may have been enabled again by hand: then its time begins anew.
_NOT_TAKEN = text("""
UPDATE webhook_deliveries d
SET state = CASE WHEN :final OR greatest(d.began_at, w.enabled_at)
                          <= clock_timestamp() - make_interval(secs => :series)
                 THEN 'failed' ELSE 'pending' END,
    tries = d.tries + 1, last_outcome = :outcome, last_status = :status,
    next_attempt_at = clock_timestamp() + make_interval(secs => :delay),
    updated_at = clock_timestamp()
FROM webhook_endpoints w
WHERE w.id = d.endpoint_id
  AND d.endpoint_id = :endpoint_id AND d.event_id = :event_id AND d.claims = :claims
RETURNING d.state
""")

_WELL = text("""
UPDATE webhook_endpoints SET failing_since = NULL, updated_at = clock_timestamp()
WHERE id = :endpoint_id AND failing_since IS NOT NULL
""")

_UNWELL = text("""
UPDATE webhook_endpoints SET failing_since = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = :endpoint_id AND failing_since IS NULL
""")

_TALLY = text("UPDATE webhook_tallies SET tries = tries + 1 WHERE outcome = :outcome")

_TALLIES = text("SELECT outcome, tries FROM webhook_tallies ORDER BY outcome")


@dataclass(frozen=True, slots=True)
class DueEndpoint:
    """An endpoint with deliveries that are due. `failing`: its last try was not taken."""

    id: str
    failing: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this courier may try until its lease runs out, and what it needs for it.

    `claims` names this claim: whoever records under an older one records nothing.
    """

    endpoint_id: str
    event_id: str
    claims: int
    tries: int
    url: str
    secret: str
    previous_secret: str | None
    type: str
    at: datetime
    data: dict[str, Any]
    seq: int


async def hand_out(connection: AsyncConnection, most: int = PAGE) -> int:
    """Make deliveries of the next events, for the endpoints that take them; how many events.

    In the order in which transactions committed, without a gap, one courier at a time: another
    one finds the cursor locked, and has nothing to do.
    """
    if not (await connection.execute(_AHEAD)).scalar_one():
        return 0
    place = (await connection.execute(_CURSOR)).one_or_none()
    if place is None:
        return 0
    page = (await connection.execute(_PAGE, {**place._mapping, "most": most})).all()
    if not page:
        return 0
    values = {"ids": [row.id for row in page], "all": ALL_EVENTS, "test": TEST_EVENT}
    await connection.execute(_HAND_OUT, values)
    await connection.execute(_MOVE, {"created": page[-1].created, "seq": page[-1].seq})
    return len(page)


async def due_endpoints(connection: AsyncConnection) -> list[DueEndpoint]:
    """The enabled endpoints that something is due for."""
    return [DueEndpoint(row.id, row.failing) for row in await connection.execute(_DUE)]


async def claim(
    connection: AsyncConnection, endpoint_id: str, *, most: int, lease_seconds: float
) -> list[Claimed]:
    """Take deliveries that are due, the longest waiting first, and leave alone what others have."""
    values = {"endpoint_id": endpoint_id, "most": most, "lease": lease_seconds}
    found = [Claimed(**row._mapping) for row in await connection.execute(_CLAIM, values)]
    return sorted(found, key=lambda one: one.seq)


async def record_delivered(
    connection: AsyncConnection, one: Claimed, *, outcome: str, status: int | None
) -> None:
    """A try was taken."""
    values = {**_key(one), "outcome": outcome, "status": status}
    if (await connection.execute(_TAKEN, values)).one_or_none() is not None:
        await connection.execute(_WELL, {"endpoint_id": one.endpoint_id})


async def record_not_taken(
    connection: AsyncConnection,
    one: Claimed,
    *,
    outcome: str,
    status: int | None,
    delay_seconds: float,
    series_seconds: float,
    final: bool,
) -> bool:
    """A try was not taken: the next one comes after the delay, unless this was the last.

    Returns whether the delivery is given up: it was `final`, or its series has lasted its time.
    """
    values = {
        **_key(one),
        "outcome": outcome,
        "status": status,
        "delay": delay_seconds,
        "series": series_seconds,
        "final": final,
    }
    state = (await connection.execute(_NOT_TAKEN, values)).scalar_one_or_none()
    await connection.execute(_UNWELL, {"endpoint_id": one.endpoint_id})
    return state == "failed"


async def count(connection: AsyncConnection, outcome: str) -> None:
    """Count a try by how it has ended."""
    await connection.execute(_TALLY, {"outcome": outcome})


async def tallies(connection: AsyncConnection) -> dict[str, int]:
    """How many tries have ever ended in each way."""
    return {row.outcome: row.tries for row in await connection.execute(_TALLIES)}


def _key(one: Claimed) -> dict[str, Any]:
    return {"endpoint_id": one.endpoint_id, "event_id": one.event_id, "claims": one.claims}
