"""The store in PostgreSQL: the statements behind the named questions of `Work`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, exists, func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.sagas import SagaRef
from recompense.domain.states import (
    CaptureStatus,
    PaymentStatus,
    PayoutStatus,
    SagaState,
)
from recompense.ledger.postings import Posting
from recompense.persistence import ledger
from recompense.persistence.reads import next_void_number
from recompense.persistence.saga_tables import (
    Attempt,
    BreakerRow,
    JournalRow,
    Operation,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import Capture, Merchant, Payment, Payout
from recompense.persistence.views import AUTHORIZED_STATUSES
from recompense.persistence.work import Key, Row


class SqlRows:
    """Rows by their key, over a session whose transaction somebody else ends."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    @property
    def clock(self) -> datetime:
        """An SQL expression in a row's clothes: it is computed when the row is written."""
        return cast(datetime, func.clock_timestamp())

    async def now(self) -> datetime:
        """The database's clock."""
        now: datetime = (await self._session.exec(select(func.clock_timestamp()))).one()
        return now.astimezone(UTC)

    async def get(self, table: type[Row], key: Key, *, lock: bool = False) -> Row | None:
        """A row by its primary key; a locked one as it is now, not as it was read before."""
        return await self._session.get(table, key, with_for_update=lock, populate_existing=lock)

    def add(self, row: SQLModel) -> None:
        """Insert a row at the next flush."""
        self._session.add(row)

    async def flush(self) -> None:
        """Write what changed."""
        await self._session.flush()

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """A nested transaction."""
        return self._session.begin_nested()

    async def post(self, posting: Posting) -> None:
        """Write a posting once."""
        await ledger.post(self._session, posting)


class SqlOperations(SqlRows):
    """Operations, their attempts and their journal."""

    async def insert_operation(self, values: Mapping[str, Any]) -> Operation | None:
        """Make an operation."""
        statement = insert(Operation).values(**values).on_conflict_do_nothing()
        inserted = await self._session.exec(statement.returning(Operation))
        return inserted.scalar_one_or_none()

    async def end_attempt(
        self, saga_id: str, number: int, report: Mapping[str, Any] | None
    ) -> None:
        """Note when an attempt ended."""
        await self._session.exec(
            update(Attempt)
            .where(col(Attempt.saga_id) == saga_id, col(Attempt.number) == number)
            .values(ended_at=func.clock_timestamp(), report=report)
        )

    async def show_attention(self, saga: SagaRef) -> None:
        """Show on the resource whether a person is asked."""
        await self.flush()
        orphaned = exists().where(
            col(Orphan.saga_id) == col(Operation.saga_id), col(Orphan.status) == "parked"
        )
        parked = exists().where(or_(col(Operation.saga_state) == SagaState.PARKED, orphaned))
        if saga.payment_id is not None:
            asked = parked.where(col(Operation.payment_id) == saga.payment_id)
            target = update(Payment).where(col(Payment.id) == saga.payment_id)
        else:
            asked = parked.where(col(Operation.operation_id) == saga.operation_id)
            target = update(Payout).where(col(Payout.id) == saga.operation_id)
        await self._session.exec(target.values(needs_attention=asked))

    async def take_right(
        self, row: JournalRow, *, run_id: str, right_try: int, send_by: datetime
    ) -> bool:
        """Take the send right by compare-and-set."""
        return await self._compare_and_set(
            row,
            right_run_id=run_id,
            right_try=right_try,
            sendable_until=send_by,
            first_sent_at=func.coalesce(col(JournalRow.first_sent_at), func.clock_timestamp()),
        )

    async def conclude_absent(self, row: JournalRow, calls: Sequence[Mapping[str, Any]]) -> bool:
        """Write the final outcome `absent` by compare-and-set."""
        return await self._compare_and_set(
            row,
            outcome={"kind": "absent"},
            outcome_kind="absent",
            outcome_source="lookup",
            final=True,
            recorded_at=func.clock_timestamp(),
            calls=[*row.calls, *calls],
        )

    async def _compare_and_set(self, row: JournalRow, **values: object) -> bool:
        changed = await self._session.exec(
            update(JournalRow)
            .where(*_same_right(row), col(JournalRow.outcome_kind).is_(None))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return changed.rowcount == 1

    async def forward_effects(self, saga_id: str, attempt: int) -> list[JournalRow]:
        """The effects of an attempt that move money forward."""
        found = await self._session.exec(
            select(JournalRow)
            .where(
                JournalRow.saga_id == saga_id,
                JournalRow.attempt == attempt,
                ~col(JournalRow.step).like("%.undo"),
                ~col(JournalRow.step).like("%.orphan"),
            )
            .order_by(col(JournalRow.created_at).desc())
        )
        return list(found.all())

    async def newest_leg(self, saga_id: str, step: str, attempt: int) -> JournalRow | None:
        """The last leg of a step."""
        found = await self._session.exec(
            select(JournalRow)
            .where(
                JournalRow.saga_id == saga_id,
                JournalRow.step == step,
                JournalRow.attempt == attempt,
            )
            .order_by(col(JournalRow.leg).desc())
            .limit(1)
        )
        return found.first()

    async def effect_by_key(self, effect_key: str) -> JournalRow | None:
        """The effect with this key."""
        found = await self._session.exec(
            select(JournalRow).where(JournalRow.effect_key == effect_key)
        )
        return found.one_or_none()

    async def newest_effect(self, operation_id: str, provider: str) -> JournalRow | None:
        """The operation's newest forward effect."""
        found = await self._session.exec(
            select(JournalRow)
            .where(
                JournalRow.operation_id == operation_id,
                JournalRow.provider == provider,
                ~col(JournalRow.step).like("%.undo"),
            )
            .order_by(col(JournalRow.created_at).desc())
            .limit(1)
        )
        return found.one_or_none()

    async def orphan_of(self, row: JournalRow) -> Orphan | None:
        """The orphan that this effect became."""
        found = await self._session.exec(
            select(Orphan).where(
                col(Orphan.saga_id) == row.saga_id,
                Orphan.step == row.step,
                Orphan.attempt == row.attempt,
                Orphan.leg == row.leg,
            )
        )
        return found.one_or_none()

    async def parked_orphans(self, saga_id: str) -> list[Orphan]:
        """The orphans of a saga that wait for a person."""
        found = await self._session.exec(
            select(Orphan)
            .where(Orphan.saga_id == saga_id, Orphan.status == "parked")
            .order_by(col(Orphan.id))
            .with_for_update()
        )
        return list(found)

    async def orphan_to_settle(self, saga_id: str, step: str, attempt: int) -> Orphan | None:
        """The first orphan of a step."""
        found = await self._session.exec(
            select(Orphan)
            .where(Orphan.saga_id == saga_id, Orphan.step == step, Orphan.attempt == attempt)
            .order_by(col(Orphan.leg))
            .with_for_update()
        )
        return found.first()


class SqlWork(SqlOperations):
    """All of `Work`."""

    async def now_if_merchant(self, merchant_id: str) -> datetime | None:
        """The database's clock, when the merchant is there."""
        found = await self._session.exec(
            select(Merchant.id, func.clock_timestamp()).where(Merchant.id == merchant_id)
        )
        row = found.one_or_none()
        return None if row is None else row[1]

    async def payment_with_reference(self, merchant_id: str, reference: str) -> str | None:
        """The payment that holds a reference."""
        found = await self._session.exec(
            select(Payment.id).where(
                Payment.merchant_id == merchant_id,
                Payment.reference == reference,
                col(Payment.status).not_in([PaymentStatus.DECLINED, PaymentStatus.FAILED]),
            )
        )
        return found.first()

    async def payout_with_reference(
        self, merchant_id: str, reference: str, *, but: str
    ) -> str | None:
        """The other payout that holds a reference."""
        found = await self._session.exec(
            select(Payout.id).where(
                Payout.merchant_id == merchant_id,
                Payout.reference == reference,
                Payout.id != but,
                col(Payout.status).not_in([PayoutStatus.FAILED, PayoutStatus.CANCELED]),
            )
        )
        return found.first()

    async def open_captures(self, payment_id: str) -> list[Capture]:
        """The payment's open captures."""
        found = await self._session.exec(
            select(Capture).where(
                col(Capture.payment_id) == payment_id, Capture.status == CaptureStatus.PENDING
            )
        )
        return list(found.all())

    async def ended_voids(self, payment_id: str) -> int:
        """How many requests to void have ended, refused ones included."""
        return await next_void_number(self._session, payment_id) - 1

    async def expired_authorizations(self, after: str | None, limit: int) -> list[Payment]:
        """Authorizations to end."""
        query = (
            select(Payment)
            .where(
                col(Payment.status).in_(AUTHORIZED_STATUSES),
                col(Payment.amount_captured) + col(Payment.amount_voided)
                < col(Payment.amount_authorized),
                col(Payment.authorization_expires_at) < datetime.now(UTC),
                col(Payment.amount_capture_reserved) == 0,
                ~col(Payment.void_open),
            )
            .order_by(col(Payment.id))
            .limit(limit)
        )
        if after is not None:
            query = query.where(col(Payment.id) > after)
        return list((await self._session.exec(query)).all())

    async def captures_due(self, limit: int) -> list[tuple[str, str]]:
        """Captures whose money is due."""
        found = await self._session.exec(
            select(Capture.id, Capture.payment_id)
            .where(
                Capture.status == CaptureStatus.SUCCEEDED,
                ~col(Capture.made_available),
                col(Capture.available_at) <= datetime.now(UTC),
            )
            .order_by(col(Capture.available_at))
            .limit(limit)
        )
        return [(capture_id, payment_id) for capture_id, payment_id in found.all()]

    async def mark_event(self, provider: str, event_id: str, status: str, detail: str) -> None:
        """Say what became of a stored event, once."""
        await self._session.exec(
            update(ProviderEventRow)
            .where(
                col(ProviderEventRow.provider) == provider,
                col(ProviderEventRow.event_id) == event_id,
                col(ProviderEventRow.status) == "received",
            )
            .values(status=status, detail=detail, applied_at=func.clock_timestamp())
        )

    async def unapplied_events(
        self, older_than_seconds: float, limit: int
    ) -> list[ProviderEventRow]:
        """Stored events that nobody has applied."""
        received_before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        found = await self._session.exec(
            select(ProviderEventRow)
            .where(
                ProviderEventRow.status == "received",
                ProviderEventRow.received_at < received_before,
            )
            .order_by(col(ProviderEventRow.received_at))
            .limit(limit)
        )
        return list(found.all())

    async def breaker(self, provider: str, operation_class: str, phase: str) -> BreakerRow:
        """A breaker's row, made where there was none, and locked."""
        await self._session.exec(
            insert(BreakerRow)
            .values(provider=provider, operation_class=operation_class, phase=phase)
            .on_conflict_do_nothing()
        )
        return await self._session.get_one(
            BreakerRow, (provider, operation_class), with_for_update=True
        )


def _same_right(row: JournalRow) -> tuple[ColumnElement[bool], ...]:
    return (
        col(JournalRow.saga_id) == row.saga_id,
        col(JournalRow.step) == row.step,
        col(JournalRow.attempt) == row.attempt,
        col(JournalRow.leg) == row.leg,
        col(JournalRow.right_run_id).is_not_distinct_from(row.right_run_id),
        col(JournalRow.right_try) == row.right_try,
        col(JournalRow.sendable_until).is_not_distinct_from(row.sendable_until),
    )
