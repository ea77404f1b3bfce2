"""The rows behind the desk: operations with their newest run, read in pages that stay as they are
while rows are added.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, String, and_, bindparam, func, true, tuple_, union_all
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

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
    last = None if filters.after is None else await find(session, filters.after)
    # Each state from the index that has it in this order: an OR of them would be read whole.
    parts = [_newest(filters, last, condition) for condition in _alternatives(filters)]
    if len(parts) == 1:
        return list((await session.exec(parts[0])).all())
    found = aliased(Operation, union_all(*parts).subquery())
    query = select(found).order_by(col(found.created_at).desc(), col(found.saga_id).desc())
    return list((await session.exec(query.limit(filters.limit + 1))).all())


def _alternatives(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions of which a row of the page meets one."""
    if filters.states is None:
        return [true()]
    state = col(Operation.saga_state)
    # Spelled out: a plan that has to do for any state cannot use an index of some.
    found = [
        state == bindparam(None, str(wanted), type_=String, literal_execute=True)
        for wanted in filters.states
    ]
    if filters.abandoned:
        other = state.not_in(filters.states)
        found.append(and_(other, col(Operation.saga_id).in_(filters.abandoned)))
    return found


def _newest(
    filters: Filters, last: Operation | None, condition: ColumnElement[bool]
) -> SelectOfScalar[Operation]:
    query = select(Operation).where(condition)
    if filters.payment_id is not None:
        query = query.where(col(Operation.payment_id) == filters.payment_id)
    if filters.merchant_id is not None:
        query = query.where(col(Operation.merchant_id) == filters.merchant_id)
    created_at, saga_id = col(Operation.created_at), col(Operation.saga_id)
    if last is not None:
        query = query.where(tuple_(created_at, saga_id) < tuple_(last.created_at, last.saga_id))
    return query.order_by(created_at.desc(), saga_id.desc()).limit(filters.limit + 1)


async def find(session: AsyncSession, workflow_id: str) -> Operation:
    """The operation of a workflow, under whatever id a copy of it runs. Raises `UnknownSaga`."""
    operation = await session.get(Operation, workflow_id)
    if operation is None:
        query = (
            select(Operation)
            .join(OperationRun, col(OperationRun.saga_id) == col(Operation.saga_id))
            .where(
                col(OperationRun.workflow_id) == workflow_id,
                # Only copies: those are what the index holds.
                col(OperationRun.workflow_id) != col(OperationRun.saga_id),
            )
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
