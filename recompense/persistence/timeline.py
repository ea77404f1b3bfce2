"""One payment's whole life, read from the rows that each part keeps anyway."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession


class TimelineRow(BaseModel):
    """Something that happened, at a time, to a payment."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: str
    workflow_id: str | None
    step: str | None
    attempt: int | None
    effect_key: str | None
    provider: str | None
    outcome: str | None
    detail: str | None


@dataclass(frozen=True)
class Place:
    """Where a row stands, and no other: `rank` orders what one transaction wrote at one moment,
    `name` tells apart what has the same rank.
    """

    at: datetime
    rank: int
    name: str

    def __str__(self) -> str:
        """The place as a cursor holds it."""
        return f"{self.at.astimezone(UTC).isoformat()} {self.rank} {self.name}"


BEGINNING = Place(datetime.min.replace(tzinfo=UTC), 0, "")
"""Before all rows."""

_PLACE = re.compile(r"(?P<at>\S+) (?P<rank>[0-9]{1,2}) (?P<name>\S+)")

_STEP_KIND = (
    "CASE WHEN e.step LIKE '%.undo' OR e.step LIKE '%.orphan' THEN 'compensation' ELSE 'step' END"
)

# Names go into cursors: a provider chooses the ids of its events, so those are digested.
_OF_PAYMENT = text(rf"""
WITH sagas AS (
    SELECT saga_id, kind, operation_id FROM operations WHERE payment_id = :payment_id
), effects AS (
    SELECT j.* FROM journal j JOIN sagas USING (saga_id)
), happened AS (
    SELECT r.first_seen_at AS at, 1 AS rank, r.saga_id || '/' || r.run_id AS name,
           'saga_run' AS kind, r.workflow_id, s.kind AS step, r.attempt, NULL AS effect_key,
           NULL AS provider, NULL AS outcome, 'run ' || r.run_id AS detail
    FROM operation_runs r JOIN sagas s USING (saga_id)
  UNION ALL
    SELECT a.opened_at, 2, a.saga_id || '/' || a.number,
           'attempt', a.saga_id, s.kind, a.number, NULL, NULL, 'opened',
           a.decision -> 'refusal' ->> 'message'
    FROM attempts a JOIN sagas s USING (saga_id)
  UNION ALL
    SELECT a.ended_at, 9, a.saga_id || '/' || a.number,
           'attempt', a.saga_id, s.kind, a.number, NULL, NULL,
           CASE WHEN a.report ? 'undone' THEN 'compensated'
                WHEN a.decision -> 'refusal' <> 'null' THEN 'refused' ELSE 'ended' END,
           a.report -> 'cause' ->> 'message'
    FROM attempts a JOIN sagas s USING (saga_id) WHERE a.ended_at IS NOT NULL
  UNION ALL
    SELECT e.created_at, 3, e.effect_key, {_STEP_KIND}, e.saga_id, e.step, e.attempt,
           e.effect_key, e.provider, 'intended', NULL
    FROM effects e
  UNION ALL
    SELECT CAST(c.call ->> 'at' AS timestamptz), 4, e.effect_key || '/' || c.number,
           'provider_call', e.saga_id, e.step, e.attempt,
           e.effect_key, e.provider, c.call ->> 'outcome',
           concat_ws(', ', c.call ->> 'operation', 'HTTP ' || (c.call ->> 'status'),
                     (c.call ->> 'duration_ms') || ' ms')
    FROM effects e CROSS JOIN LATERAL jsonb_array_elements(e.calls)
        WITH ORDINALITY AS c (call, number)
  UNION ALL
    SELECT e.recorded_at, 5, e.effect_key, {_STEP_KIND}, e.saga_id, e.step, e.attempt,
           e.effect_key, e.provider, e.outcome_kind,
           concat_ws(', ', 'by ' || e.outcome_source, e.outcome ->> 'code',
                     e.outcome ->> 'reference')
    FROM effects e WHERE e.recorded_at IS NOT NULL
  UNION ALL
    SELECT o.found_at, 6, CAST(o.id AS text),
           'orphan', o.saga_id, o.step, o.attempt, NULL, NULL, o.status,
           'an effect that became known too late'
    FROM orphans o JOIN sagas USING (saga_id)
  UNION ALL
    SELECT p.at, 7, p.id || '/' || t.line, 'ledger', s.saga_id, split_part(p.posting_key, ':', 2),
           CAST(substring(p.posting_key FROM '[0-9]+$') AS integer), NULL, NULL, t.phase,
           t.debit || ' to ' || t.credit || ': ' || t.amount || ' ' || t.currency
    FROM ledger_postings p JOIN ledger_transfers t ON t.posting_id = p.id
    LEFT JOIN sagas s ON s.operation_id = p.operation_id AND s.kind <> 'void'
    WHERE p.payment_id = :payment_id
  UNION ALL
    SELECT v.received_at, 8, md5(v.provider || '/' || v.event_id), 'webhook',
           'provider-event/' || v.provider || '/' || v.event_id, NULL, NULL,
           v.effect_key, v.provider, v.status, concat_ws(', ', v.event_type, v.detail)
    FROM provider_events v WHERE v.operation_id IN (SELECT operation_id FROM sagas)
  UNION ALL
    SELECT l.at, 8, CAST(l.id AS text), 'ops_action', l.target, l.details ->> 'step',
           CAST(l.details ->> 'attempt' AS integer), NULL, NULL, l.action,
           concat_ws(': ', l.actor, l.reason)
    FROM audit_log l WHERE l.target IN (SELECT saga_id FROM sagas)
  UNION ALL
    SELECT d.at, 10, d.id, 'event', NULL, NULL, NULL, NULL, NULL, d.type, d.id
    FROM events d WHERE d.payment_id = :payment_id
)
SELECT at, rank, name, kind, workflow_id, step, attempt, effect_key, provider, outcome, detail
FROM happened
WHERE (at, rank, name COLLATE "C") > (CAST(:at AS timestamptz), CAST(:rank AS integer), :name)
ORDER BY at, rank, name COLLATE "C" LIMIT :limit
""")  # noqa: S608 - constants of this file


async def of_payment(
    session: AsyncSession, payment_id: str, *, after: Place, limit: int
) -> list[tuple[TimelineRow, Place]]:
    """A page of what happened to a payment and one row more, in order, each with its place.

    A row whose time moves, as an outcome's does when it becomes final, is shown again by a later
    page. None that was there for the first page is passed over by the next ones.
    """
    connection = await session.connection()
    place = {"at": after.at, "rank": after.rank, "name": after.name}
    found = await connection.execute(
        _OF_PAYMENT, {"payment_id": payment_id, "limit": limit + 1, **place}
    )
    return [(TimelineRow(**row._mapping), Place(row.at, row.rank, row.name)) for row in found]


def read_place(place: str | None) -> Place | None:
    """The place that a cursor names. None: it is not one of a timeline."""
    if place is None:
        return BEGINNING
    parts = _PLACE.fullmatch(place)
    try:
        at = datetime.fromisoformat(parts["at"] if parts else "")
    except ValueError:
        return None
    if parts is None or at.utcoffset() != timedelta(0):
        return None
    return Place(at, int(parts["rank"]), parts["name"])
