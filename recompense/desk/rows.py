"""The rows behind the desk: operations with their newest run, read in pages that stay as they are
while rows are added.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, or_, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.domain.states import SagaState
from recompense.persistence.saga_tables import (
    Attempt,
    AuditRecord,
    JournalRow,
    Operation,
    OperationRun,
    Orphan,
)

LIVE_STATES = (SagaState.RUNNING, SagaState.COMPENSATING, SagaState.PARKED)
"""States that claim that a run works on the saga, or waits."""


class UnknownSaga(LookupError):
    """There is no such saga."""


@dataclass(frozen=True)
class Filters:
    """What a page of sagas is narrowed to. `abandoned` are sagas whose rows claim to live, and
    whose runs have ended: they are among the failed.
    """

    states: Collection[SagaState] | None = None
    abandoned: Collection[str] = ()
    payment_id: str | None = None
    merchant_id: str | None = None
    limit: int = 20
    after: str | None = None


@dataclass(frozen=True)
class Story:
    """All rows of one saga. `orphans` are those that wait for a person."""

    operation: Operation
    runs: Sequence[OperationRun]
    attempts: Sequence[Attempt]
    journal: Sequence[JournalRow]
    audit: Sequence[AuditRecord]
    orphans: Sequence[Orphan]


def leaves_orphans(story: Story) -> bool:
    """Whether nobody works on the saga, and a person has to decide about what stands."""
    return bool(story.orphans) and story.operation.saga_state not in LIVE_STATES


async def page(session: AsyncSession, filters: Filters) -> list[Operation]:
    """A page of operations and one more, newest first. Raises `UnknownSaga` for a bad `after`."""
    query = select(Operation)
    if filters.states is not None:
        listed = col(Operation.saga_state).in_(filters.states)
        query = query.where(or_(listed, col(Operation.saga_id).in_(filters.abandoned)))
    if filters.payment_id is not None:
        query = query.where(col(Operation.payment_id) == filters.payment_id)
    if filters.merchant_id is not None:
        query = query.where(col(Operation.merchant_id) == filters.merchant_id)
    place = tuple_(col(Operation.created_at), col(Operation.saga_id))
    if filters.after is not None:
        last = await find(session, filters.after)
        query = query.where(place < tuple_(last.created_at, last.saga_id))
    query = query.order_by(place.desc()).limit(filters.limit + 1)
    return list((await session.exec(query)).all())


async def find(session: AsyncSession, workflow_id: str) -> Operation:
    """The operation of a workflow, under whatever id a copy of it runs. Raises `UnknownSaga`."""
    operation = await session.get(Operation, workflow_id)
    if operation is None:
        query = (
            select(Operation)
            .join(OperationRun, col(OperationRun.saga_id) == col(Operation.saga_id))
            .where(col(OperationRun.workflow_id) == workflow_id)
            .limit(1)
        )
        operation = (await session.exec(query)).one_or_none()
    if operation is None:
        raise UnknownSaga(f"there is no saga {workflow_id}")
    return operation


async def newest_runs(session: AsyncSession, saga_ids: Collection[str]) -> dict[str, OperationRun]:
    """The run that was seen last on each saga."""
    query = (
        select(OperationRun)
        .ext(distinct_on(col(OperationRun.saga_id)))
        .where(col(OperationRun.saga_id).in_(saga_ids))
        .order_by(col(OperationRun.saga_id), col(OperationRun.first_seen_at).desc())
    )
    return {run.saga_id: run for run in (await session.exec(query)).all()}


async def with_orphans(session: AsyncSession, saga_ids: Collection[str]) -> set[str]:
    """Which of these sagas have an effect standing that a person has to decide about."""
    query = select(col(Orphan.saga_id)).where(
        col(Orphan.saga_id).in_(saga_ids), col(Orphan.status) == "parked"
    )
    return set((await session.exec(query)).all())


async def living_among(session: AsyncSession, saga_ids: Collection[str]) -> list[str]:
    """Which of these sagas claim to live, by their rows."""
    query = select(col(Operation.saga_id)).where(
        col(Operation.saga_id).in_(saga_ids), col(Operation.saga_state).in_(LIVE_STATES)
    )
    return list((await session.exec(query)).all())


async def longest_living(session: AsyncSession, older_than: timedelta, limit: int) -> list[str]:
    """The sagas that have claimed to live for longest without a change."""
    query = (
        select(col(Operation.saga_id))
        .where(
            col(Operation.saga_state).in_(LIVE_STATES),
            col(Operation.since) < func.clock_timestamp() - older_than,
        )
        .order_by(col(Operation.since))
        .limit(limit)
    )
    return list((await session.exec(query)).all())


async def story(session: AsyncSession, workflow_id: str) -> Story:
    """All rows of one saga, oldest first. Raises `UnknownSaga`."""
    operation = await find(session, workflow_id)
    saga_id = operation.saga_id
    runs = select(OperationRun).where(OperationRun.saga_id == saga_id)
    attempts = select(Attempt).where(Attempt.saga_id == saga_id)
    journal = select(JournalRow).where(JournalRow.saga_id == saga_id)
    audit = select(AuditRecord).where(AuditRecord.target == saga_id)
    orphans = select(Orphan).where(Orphan.saga_id == saga_id, Orphan.status == "parked")
    return Story(
        operation=operation,
        runs=(await session.exec(runs.order_by(col(OperationRun.first_seen_at)))).all(),
        attempts=(await session.exec(attempts.order_by(col(Attempt.number)))).all(),
        journal=(await session.exec(journal.order_by(col(JournalRow.created_at)))).all(),
        audit=(await session.exec(audit.order_by(col(AuditRecord.id)))).all(),
        orphans=(await session.exec(orphans.order_by(col(Orphan.id)))).all(),
    )
