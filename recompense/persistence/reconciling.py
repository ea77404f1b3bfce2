"""Reconciliations as rows: begun once for each number, ended once; and what they let go."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.reconciliation import (
    FinishReconciliation,
    ReconcileInput,
    ReconciliationStatus,
)
from recompense.domain.failures import InvariantBroken
from recompense.persistence.outbox import audit
from recompense.persistence.settlement_tables import Reconciliation

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('number/' || :of, 7))")
_NEXT_NUMBER = text("""
SELECT coalesce(max(number), 0) + 1 FROM reconciliations
WHERE provider = :provider AND report_date = :report_date
""")


async def begin(
    session: AsyncSession,
    reconciliation_id: str,
    *,
    provider: str,
    report_date: date,
    requested_by: str,
) -> ReconcileInput:
    """Make the row of a reconciliation under its date's next number, once for each id."""
    connection = await session.connection()
    await connection.execute(_LOCK, {"of": f"{provider}/{report_date.isoformat()}"})
    row = await session.get(Reconciliation, reconciliation_id)
    if row is None:
        of_date = {"provider": provider, "report_date": report_date}
        number = (await connection.execute(_NEXT_NUMBER, of_date)).scalar_one()
        row = Reconciliation(
            id=reconciliation_id,
            provider=provider,
            report_date=report_date,
            number=number,
            requested_by=requested_by,
        )
        session.add(row)
        audit(
            session,
            actor=requested_by,
            action="reconcile",
            target=f"reconcile/{provider}/{report_date.isoformat()}/{number}",
        )
    return input_of(row)


async def open_scheduled(
    session: AsyncSession,
    reconciliation_id: str,
    *,
    provider: str,
    report_date: date,
    run: str,
    requested_by: str,
) -> ReconcileInput:
    """The same for a schedule, once for each `run` of it."""
    found = await session.exec(
        select(Reconciliation).where(
            Reconciliation.provider == provider,
            Reconciliation.report_date == report_date,
            Reconciliation.requested_by == f"{requested_by}/{run}",
        )
    )
    row = found.first()
    if row is not None:
        return input_of(row)
    return await begin(
        session,
        reconciliation_id,
        provider=provider,
        report_date=report_date,
        requested_by=f"{requested_by}/{run}",
    )


def input_of(row: Reconciliation) -> ReconcileInput:
    """What the workflow of a reconciliation is given."""
    return ReconcileInput(
        reconciliation_id=row.id,
        provider=row.provider,
        report_date=row.report_date,
        number=row.number,
    )


_UNFINISHED = text("""
SELECT id, provider, report_date, number FROM reconciliations
WHERE status = 'running' AND id > :after
  AND created_at < clock_timestamp() - make_interval(secs => :older_than_seconds)
ORDER BY id LIMIT :page
""")


async def unfinished(
    session: AsyncSession, after: str | None, page: int, *, older_than_seconds: float
) -> tuple[ReconcileInput, ...]:
    """A page of reconciliations that have not ended, oldest first."""
    connection = await session.connection()
    found = await connection.execute(
        _UNFINISHED,
        {"after": after or "", "page": page, "older_than_seconds": older_than_seconds},
    )
    return tuple(
        ReconcileInput(
            reconciliation_id=row.id,
            provider=row.provider,
            report_date=row.report_date,
            number=row.number,
        )
        for row in found
    )


async def finish(session: AsyncSession, end: FinishReconciliation) -> str:
    """End a reconciliation: what was compared decides; a failure says why nothing was.

    A run that is carried on after a reset ends it anew.
    """
    reconciliation_id = end.reconciliation.reconciliation_id
    row = await session.get(Reconciliation, reconciliation_id, with_for_update=True)
    if row is None:
        raise InvariantBroken(f"{reconciliation_id} has no row")
    row.finished_at = datetime.now(UTC)
    if end.failure_code is not None:
        row.status = ReconciliationStatus.FAILED
        row.failure = {"code": end.failure_code, "message": end.failure_message or ""}
    else:
        row.status = ReconciliationStatus.BREAKS if row.breaks else ReconciliationStatus.CLEAN
        row.failure = None
    return row.status


# Settled by a line; or given up before, and then repaired when its line came late.
_RELEASE = text("""
WITH page AS (
    SELECT id, payment_id FROM captures
    WHERE status = 'succeeded' AND NOT made_available AND available_at IS NULL
      AND id > :after
    ORDER BY id LIMIT :page
), released AS (
    UPDATE captures SET available_at = clock_timestamp()
    FROM page WHERE captures.id = page.id AND EXISTS (
        SELECT FROM journal j JOIN settlement_matches m ON m.match_key = j.effect_key
        WHERE j.operation_id IN (page.id, page.payment_id) AND j.step = 'capture'
          AND (m.report_id IS NOT NULL OR EXISTS (
              SELECT FROM breaks b
              WHERE b.effect_key = j.effect_key AND b.kind = 'late' AND b.line_kind = 'capture'
                AND b.status = 'resolved' AND b.resolution->>'action' IN ('post', 'write_off'))))
)
SELECT max(id) FROM page HAVING count(*) = :page
""")


async def release_settled(session: AsyncSession, after: str | None, page: int) -> str | None:
    """Note for a page of captures, of those that wait for their settlement, that it has come.

    Returns where the next page begins, if there is one. The money itself moves by the sweep, under
    its payment's lock.
    """
    connection = await session.connection()
    found = await connection.execute(_RELEASE, {"after": after or "", "page": page})
    last: str | None = found.scalar_one_or_none()
    return last


async def listed(
    session: AsyncSession,
    *,
    provider: str | None,
    status: str | None,
    before: str | None,
    limit: int,
) -> list[Reconciliation]:
    """One page and one row more, newest first."""
    query = select(Reconciliation)
    if provider is not None:
        query = query.where(Reconciliation.provider == provider)
    if status is not None:
        query = query.where(Reconciliation.status == status)
    if before is not None:
        query = query.where(col(Reconciliation.id) < before)
    found = await session.exec(query.order_by(col(Reconciliation.id).desc()).limit(limit + 1))
    return list(found.all())
