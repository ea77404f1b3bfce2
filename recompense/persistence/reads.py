"""What callers read: resources, pages of them, and where an operation stands.

Nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import BindParameter, ColumnElement, DateTime, String, bindparam, text
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.sagas import Refusal, SagaKind, SagaRef
from recompense.contracts.views import CaptureView, PaymentView, PayoutView, RefundView
from recompense.domain.effects import AttemptState
from recompense.domain.ids import IdPrefix, earliest_id
from recompense.domain.states import (
    CaptureStatus,
    PaymentStatus,
    PayoutStatus,
    RefundStatus,
    VoidStatus,
)
from recompense.persistence.saga_tables import BreakerRow, Operation
from recompense.persistence.tables import (
    Capture,
    DomainEvent,
    Payment,
    Payout,
    Refund,
    VoidRequest,
)
from recompense.persistence.views import capture_view, payment_view, payout_view, refund_view

AnyView = PaymentView | CaptureView | RefundView | PayoutView
Listed = TypeVar("Listed", Payment, Capture, Refund, Payout)

_ID_IS_OLDER_BY = timedelta(days=1)
"""An id is chosen when its request comes, and its row written when a worker takes the saga up. That
may take an outage; payouts of a run wait for an approval, for as long as it takes.
"""
_CLOCKS_DIFFER_BY = timedelta(minutes=10)
"""By how much an id may seem to be newer than its row."""

_PREFIX: dict[type[SQLModel], IdPrefix] = {
    Payment: IdPrefix.PAYMENT,
    Capture: IdPrefix.CAPTURE,
    Refund: IdPrefix.REFUND,
    Payout: IdPrefix.PAYOUT,
}
_STATUS: dict[type[SQLModel], type[StrEnum]] = {
    Payment: PaymentStatus,
    Capture: CaptureStatus,
    Refund: RefundStatus,
    Payout: PayoutStatus,
}
_WAITING: frozenset[str] = frozenset(
    {
        PaymentStatus.PROCESSING,
        PaymentStatus.REQUIRES_ACTION,
        PayoutStatus.PENDING,
        PayoutStatus.AWAITING_APPROVAL,
        PayoutStatus.IN_TRANSIT,
    }
)
"""Statuses that few rows have at a time: indexes hold those."""

_ENDED = frozenset({AttemptState.RECORDED, AttemptState.CLOSED})


@dataclass(frozen=True)
class Standing:
    """Where an operation stands by the rows alone.

    `known` tells that its outcome is: `view` is then the resource, or `refusal` why there is none.
    """

    ended: bool
    known: bool
    refusal: Refusal | None = None
    view: AnyView | None = None


async def standing(session: AsyncSession, saga: SagaRef) -> Standing | None:
    """Where an operation stands. None: its first step has not run."""
    operation = await session.get(Operation, saga.saga_id)
    if operation is None:
        return None
    ended = operation.attempt_state in _ENDED
    if operation.attempt_state == AttemptState.RECORDED and operation.failure is not None:
        return Standing(ended, known=True, refusal=Refusal.model_validate(operation.failure))
    if saga.kind is SagaKind.VOID:
        return await _standing_of_void(session, saga, ended)
    view = await view_of(session, saga)
    return Standing(ended, known=ended or is_known(view), view=view)


def is_known(view: AnyView | None) -> bool:
    """Whether a resource shows an outcome. An automatic payment has none while it is only
    authorized.
    """
    if view is None or view.status in {"processing", "pending"}:
        return False
    return not (
        isinstance(view, PaymentView)
        and view.capture_method == "automatic"
        and view.status is PaymentStatus.AUTHORIZED
    )


async def _standing_of_void(session: AsyncSession, saga: SagaRef, ended: bool) -> Standing:
    number = int(saga.saga_id.rpartition("/")[2])
    request = await session.get(VoidRequest, (saga.payment_id, number))
    view = await view_of(session, saga)
    if request is not None and request.status == VoidStatus.FAILED:
        message = (request.failure or {}).get("message", "The payment could not be voided.")
        refusal = Refusal(code="payment_not_voidable", message=str(message))
        return Standing(ended, known=ended, refusal=refusal, view=view)
    done = request is not None and request.status == VoidStatus.SUCCEEDED
    return Standing(ended, known=done, view=view)


async def view_of(session: AsyncSession, saga: SagaRef) -> AnyView | None:
    """The resource that an operation is about."""
    match saga.kind:
        case SagaKind.AUTHORIZE | SagaKind.VOID:
            payment = await session.get(Payment, saga.payment_id)
            return None if payment is None else payment_view(payment)
        case SagaKind.CAPTURE:
            capture = await session.get(Capture, saga.operation_id)
            return None if capture is None else capture_view(capture)
        case SagaKind.REFUND:
            refund = await session.get(Refund, saga.operation_id)
            return None if refund is None else refund_view(refund)
        case SagaKind.PAYOUT:
            payout = await session.get(Payout, saga.operation_id)
            return None if payout is None else payout_view(payout)


_AWAITED_ACTION = text("""
SELECT j.effect_key FROM operations o JOIN journal j USING (saga_id, attempt)
WHERE o.payment_id = :payment_id AND o.kind = 'authorize' AND o.attempt_state = 'open'
  AND j.step = 'authorize' AND j.outcome_kind = 'requires_action'
""")


async def awaited_action(session: AsyncSession, payment_id: str) -> str | None:
    """The effect key of the authorization that waits for the payer. None: nothing does."""
    connection = await session.connection()
    found = await connection.execute(_AWAITED_ACTION, {"payment_id": payment_id})
    effect_key: str | None = found.scalar_one_or_none()
    return effect_key


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to. `before_id` is where the page before ended."""

    limit: int
    before_id: str | None = None
    merchant_id: str | None = None
    payment_id: str | None = None
    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def listed(session: AsyncSession, table: type[Listed], filters: Filters) -> list[Listed]:
    """One page and one row more, newest first: ids are in the order of their making."""
    if filters.status is not None and filters.status not in set(_STATUS[table]):
        return []
    query = select(table).where(*_bounds(table, filters))
    equal: dict[str, Any] = {
        "merchant_id": filters.merchant_id,
        "payment_id": filters.payment_id,
        "status": filters.status,
    }
    if filters.status in _WAITING:
        equal["status"] = _spelled_out(filters.status, String())
    for name, wanted in equal.items():
        if wanted is not None:
            query = query.where(getattr(table, name) == wanted)
    found = await session.exec(query.order_by(col(table.id).desc()).limit(filters.limit + 1))
    return list(found.all())


def _bounds(table: type[Listed], filters: Filters) -> list[ColumnElement[bool]]:
    """From where to where rows are listed: by their ids as far as those tell, so that no more is
    read, and by their time.
    """
    row_id, created_at, prefix = col(table.id), col(table.created_at), _PREFIX[table]
    bounds: list[ColumnElement[bool]] = []
    if filters.before_id is not None:
        bounds.append(row_id < filters.before_id)
    if filters.created_after is not None:
        after = _spelled_out(filters.created_after, DateTime(timezone=True))
        bounds.append(created_at > after)
        if table is not Payout:
            earliest = earliest_id(prefix, filters.created_after, shifted=-_ID_IS_OLDER_BY)
            bounds.append(row_id >= earliest)
    if filters.created_before is not None:
        bounds.append(created_at < filters.created_before)
        later = earliest_id(prefix, filters.created_before, shifted=_CLOCKS_DIFFER_BY)
        bounds.append(row_id < later)
    return bounds


def _spelled_out(value: object, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """A value within the statement: a plan that has to do for any value would not use an index
    that helps for few of them.
    """
    return bindparam(None, value, type_=type_, literal_execute=True)


async def find(session: AsyncSession, table: type[Listed], row_id: str) -> Listed | None:
    """A row by its id."""
    return await session.get(table, row_id)


_NEXT_VOID = text("""
SELECT count(*) FILTER (WHERE attempt_state IN ('recorded', 'closed')) + 1 AS number
FROM operations WHERE payment_id = :payment_id AND kind = 'void'
""")


async def next_void_number(session: AsyncSession, payment_id: str) -> int:
    """The number of the void that is open, or of the next one: one more than those that have ended.

    Refused ones count too: each was told its answer, and a new request deserves one of its own.
    """
    connection = await session.connection()
    found = await connection.execute(_NEXT_VOID, {"payment_id": payment_id})
    return int(found.scalar_one())


_EVENT_PLACE = text("""
SELECT CAST(created AS text) AS created, seq FROM events
WHERE id = :event_id AND (CAST(:merchant_id AS text) IS NULL OR merchant_id = :merchant_id)
""")

_EVENTS = text("""
SELECT id, type, at, data FROM events
WHERE created < pg_snapshot_xmin(pg_current_snapshot())
  AND (created, seq) > (CAST(:created AS xid8), :seq)
  AND (CAST(:merchant_id AS text) IS NULL OR merchant_id = :merchant_id)
ORDER BY created, seq LIMIT :limit
""")


async def events_after(
    session: AsyncSession, after: str | None, merchant_id: str | None, limit: int
) -> list[DomainEvent] | None:
    """A page of domain events and one more, in the order of their transactions. None: `after` is
    no event that the caller may see.

    Only events of transactions that no open one can precede: whoever goes on from the last one
    misses none.
    """
    connection = await session.connection()
    created, seq = "0", 0
    if after is not None:
        place = (
            await connection.execute(_EVENT_PLACE, {"event_id": after, "merchant_id": merchant_id})
        ).one_or_none()
        if place is None:
            return None
        created, seq = place.created, place.seq
    rows = await connection.execute(
        _EVENTS, {"created": created, "seq": seq, "merchant_id": merchant_id, "limit": limit + 1}
    )
    return [DomainEvent(**row._mapping) for row in rows]


async def breaker_states(session: AsyncSession) -> dict[tuple[str, str], BreakerRow]:
    """The circuit breakers that were ever written, by provider and class of operations."""
    found = await session.exec(select(BreakerRow))
    return {(row.provider, row.operation_class): row for row in found.all()}


async def applied_revision(session: AsyncSession) -> str | None:
    """Which migration the database is at."""
    connection = await session.connection()
    found = await connection.execute(text("SELECT version_num FROM alembic_version"))
    revision: str | None = found.scalar_one_or_none()
    return revision
