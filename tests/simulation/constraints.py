"""What the tables refuse: primary keys, unique keys and the CHECKs that guard money.

The second migration is their source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from recompense.persistence.saga_tables import JournalRow, Orphan
from recompense.persistence.tables import Capture, Payment, Payout, Refund, ReserveTranche


@dataclass(frozen=True)
class Columns:
    """What has to be known of a table's columns to insert a row."""

    key: tuple[str, ...]
    moments: tuple[str, ...]
    identity: str | None


@cache
def columns(table: type[SQLModel]) -> Columns:
    """Read the columns of a table from its mapping."""
    mapper = inspect(table)
    identity = None
    moments = []
    for attribute in mapper.column_attrs:
        column = attribute.columns[0]
        if column.identity is not None:
            identity = attribute.key
        elif column.server_default is not None and "clock_timestamp" in str(
            getattr(column.server_default, "arg", "")
        ):
            moments.append(attribute.key)
    key = tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)
    return Columns(key, tuple(moments), identity)


def refused(constraint: str) -> IntegrityError:
    """The error that a violated constraint raises."""
    return IntegrityError(constraint, None, ValueError(constraint))


def check(row: SQLModel) -> None:
    """Raise what the database would raise for this row."""
    for name, holds in _CHECKS.get(type(row), {}).items():
        if not holds(row):
            raise refused(name)


Check = Callable[[Any], bool]

_CHECKS: dict[type[SQLModel], dict[str, Check]] = {
    Payment: {
        "payments_amount_held": lambda p: 0 <= p.amount_held <= p.amount,
        "payments_amount_authorized": lambda p: 0 <= p.amount_authorized <= p.amount,
        "payments_not_negative": lambda p: (
            min(
                p.amount_captured,
                p.amount_capture_reserved,
                p.amount_voided,
                p.amount_refunded,
                p.amount_refund_reserved,
                p.amount_fees,
                p.amount_fees_returned,
                p.amount_made_available,
                p.amount_refunded_from_pending,
            )
            >= 0
        ),
        "payments_captured_fits": lambda p: (
            p.amount_captured + p.amount_capture_reserved + p.amount_voided <= p.amount_authorized
        ),
        "payments_pending_fits": lambda p: (
            p.amount_fees + p.amount_made_available + p.amount_refunded_from_pending
            <= p.amount_captured
        ),
        "payments_fees_returned_fit": lambda p: p.amount_fees_returned <= p.amount_fees,
        "payments_refunded_fits": lambda p: (
            p.amount_refunded + p.amount_refund_reserved <= p.amount_captured
        ),
    },
    Capture: {"captures_amounts": lambda c: c.amount > 0 and 0 <= c.fee <= c.amount},
    Payout: {"payouts_return_fee_fits": lambda p: 0 <= p.return_fee <= p.amount},
    ReserveTranche: {"reserve_tranches_amount": lambda t: t.amount > 0},
    Refund: {"refunds_amounts": lambda r: 0 <= r.amount_from_pending <= r.amount},
    JournalRow: {
        "journal_final_is_final": lambda j: (
            not j.final or j.outcome_kind in ("approved", "declined", "absent")
        )
    },
    Orphan: {"orphans_status": lambda o: o.status in ("open", "undone", "parked", "adopted")},
}


def _payment_key(row: Any) -> tuple[Any, ...] | None:
    if row["reference"] is None or row["status"] in ("declined", "failed"):
        return None
    return ("payments_reference_in_use", row["merchant_id"], row["reference"])


def _payout_key(row: Any) -> tuple[Any, ...] | None:
    if row["reference"] is None or row["status"] in ("failed", "canceled"):
        return None
    return ("payouts_reference_in_use", row["merchant_id"], row["reference"])


_UNIQUE: dict[type[SQLModel], Callable[[Any], tuple[Any, ...] | None]] = {
    Payment: _payment_key,
    Payout: _payout_key,
    JournalRow: lambda row: ("journal_effect_key", row["effect_key"]),
    Orphan: lambda row: (
        "orphans_step",
        row["saga_id"],
        row["step"],
        row["attempt"],
        row["leg"],
    ),
}


Taken = dict[tuple[Any, ...], SQLModel]


def claim(taken: Taken, row: SQLModel, before: Mapping[str, Any] | None) -> None:
    """Take the row's unique key, in place of the one it had before."""
    key_of = _UNIQUE.get(type(row))
    if key_of is None:
        return
    old = None if before is None else key_of(before)
    new = key_of(row.__dict__)
    if old == new:
        return
    if new is not None and taken.get(new, row) is not row:
        raise refused(str(new[0]))
    if old is not None:
        taken.pop(old, None)
    if new is not None:
        taken[new] = row


def give_back(taken: Taken, row: SQLModel) -> None:
    """Free the row's unique key, where it is the row that has it."""
    key_of = _UNIQUE.get(type(row))
    key = key_of(row.__dict__) if key_of else None
    if key is not None and taken.get(key) is row:
        del taken[key]
