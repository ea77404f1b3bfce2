"""The states of the things that money moves through, and the only ways from one to another.

A transition that is not listed does not happen, whoever asks for it: a late webhook, a replayed
older step, a reset run.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class PaymentStatus(StrEnum):
    """Where a payment stands, as its caller sees it."""

    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    PARTIALLY_CAPTURED = "partially_captured"
    CAPTURED = "captured"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    VOIDED = "voided"
    EXPIRED = "expired"
    DECLINED = "declined"
    FAILED = "failed"


class CaptureStatus(StrEnum):
    """Where a capture stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundStatus(StrEnum):
    """Where a refund stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class VoidStatus(StrEnum):
    """Where one request to void stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class PayoutStatus(StrEnum):
    """Where a payout stands."""

    PENDING = "pending"
    AWAITING_APPROVAL = "awaiting_approval"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    CANCELED = "canceled"
    REJECTED = "rejected"


class PayoutRunStatus(StrEnum):
    """Where a payout run stands."""

    BUILDING = "building"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    COMPLETED = "completed"
    COMPLETED_WITH_FAILURES = "completed_with_failures"
    REJECTED = "rejected"


class PayoutItemState(StrEnum):
    """How far a payout run has got with one of its items.

    `settled` says no more than that the run need not wait for it: its payout tells the rest.
    """

    READY = "ready"
    STARTED = "started"
    SETTLED = "settled"
    FAILED = "failed"
    REJECTED = "rejected"


class SagaState(StrEnum):
    """Where a saga stands, as ops see it."""

    RUNNING = "running"
    COMPENSATING = "compensating"
    PARKED = "parked"
    FAILED = "failed"
    DONE = "done"


_P = PaymentStatus

PAYMENT_TRANSITIONS: Mapping[PaymentStatus, frozenset[PaymentStatus]] = {
    _P.PROCESSING: frozenset(
        {_P.REQUIRES_ACTION, _P.AUTHORIZED, _P.CAPTURED, _P.DECLINED, _P.FAILED}
    ),
    _P.REQUIRES_ACTION: frozenset({_P.AUTHORIZED, _P.CAPTURED, _P.DECLINED, _P.FAILED}),
    _P.AUTHORIZED: frozenset(
        {_P.PARTIALLY_CAPTURED, _P.CAPTURED, _P.VOIDED, _P.EXPIRED, _P.DECLINED, _P.FAILED}
    ),
    _P.PARTIALLY_CAPTURED: frozenset({_P.CAPTURED, _P.PARTIALLY_REFUNDED, _P.REFUNDED}),
    _P.CAPTURED: frozenset({_P.PARTIALLY_REFUNDED, _P.REFUNDED}),
    _P.PARTIALLY_REFUNDED: frozenset({_P.REFUNDED}),
    _P.REFUNDED: frozenset({_P.PARTIALLY_REFUNDED}),
    _P.VOIDED: frozenset(),
    _P.EXPIRED: frozenset(),
    _P.DECLINED: frozenset(),
    _P.FAILED: frozenset({_P.PROCESSING}),
}
"""`failed -> processing` is a replay that opens the next attempt. `refunded -> partially_refunded`
is another capture on a
payment whose earlier capture was refunded whole."""

_O = PayoutStatus

PAYOUT_TRANSITIONS: Mapping[PayoutStatus, frozenset[PayoutStatus]] = {
    _O.PENDING: frozenset(
        {_O.AWAITING_APPROVAL, _O.IN_TRANSIT, _O.PAID, _O.FAILED, _O.CANCELED, _O.RETURNED}
    ),
    _O.AWAITING_APPROVAL: frozenset(
        {_O.PENDING, _O.IN_TRANSIT, _O.REJECTED, _O.CANCELED, _O.FAILED}
    ),
    _O.IN_TRANSIT: frozenset({_O.PAID, _O.FAILED, _O.RETURNED, _O.CANCELED}),
    _O.PAID: frozenset({_O.RETURNED}),
    _O.FAILED: frozenset({_O.PENDING}),
    _O.RETURNED: frozenset(),
    _O.CANCELED: frozenset({_O.PENDING}),
    _O.REJECTED: frozenset(),
}
"""`failed -> pending` and `canceled -> pending` are replays that open the next attempt."""


_R = PayoutRunStatus

PAYOUT_RUN_TRANSITIONS: Mapping[PayoutRunStatus, frozenset[PayoutRunStatus]] = {
    _R.BUILDING: frozenset(
        {_R.AWAITING_APPROVAL, _R.RUNNING, _R.COMPLETED, _R.COMPLETED_WITH_FAILURES}
    ),
    _R.AWAITING_APPROVAL: frozenset({_R.RUNNING, _R.REJECTED}),
    _R.RUNNING: frozenset({_R.COMPLETED, _R.COMPLETED_WITH_FAILURES}),
    _R.COMPLETED: frozenset({_R.RUNNING}),
    _R.COMPLETED_WITH_FAILURES: frozenset({_R.RUNNING}),
    _R.REJECTED: frozenset(),
}
"""From an end back to `running`: the run is resumed for its failed items."""


_Status = TypeVar("_Status", bound=StrEnum)


def may_move(
    table: Mapping[_Status, frozenset[_Status]], current: _Status, target: _Status
) -> bool:
    """Tell whether the table lists this move. Staying where one is, is always allowed."""
    return current == target or target in table[current]


def payment_status(
    *,
    captured: int,
    refunded: int,
    capturable: int,
    expired: bool,
) -> PaymentStatus:
    """Derive the status of a payment that was once authorized from its amounts, by the precedence
    that clients rely on.

    Refunds speak first, then whether anything is left to capture, then whether anything was
    captured at all.
    """
    if refunded > 0:
        return _P.REFUNDED if refunded == captured else _P.PARTIALLY_REFUNDED
    if captured > 0:
        return _P.CAPTURED if capturable == 0 else _P.PARTIALLY_CAPTURED
    if capturable > 0:
        return _P.AUTHORIZED
    return _P.EXPIRED if expired else _P.VOIDED
