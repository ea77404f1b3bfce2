"""The tables of merchants, payments, captures, voids, refunds and payouts.

Amounts are `bigint` minor units. What guards money is in the database: CHECK constraints here, and
the ledger's own rules
beside them. Times are written by the database's clock.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, Identity
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import bigint, jsonb, moment, optional_jsonb, optional_moment

__all__ = ["Capture", "DomainEvent", "Merchant", "Payment", "Payout", "Refund", "VoidRequest"]


_FRESH = {"eager_defaults": True}
"""Read what the database sets (times) back in the same statement: a view can be made right after a
flush.
"""


class Merchant(SQLModel, table=True):
    """Who is paid. `fees`, `payout` and `availability` are data that the sagas read when they
    decide.
    """

    __tablename__ = "merchants"

    id: str = Field(primary_key=True)
    name: str
    country: str
    payout: dict[str, Any] = Field(sa_column=jsonb(), default_factory=dict)
    fees: dict[str, Any] = Field(sa_column=jsonb(), default_factory=dict)
    availability_rule: str = "on_settlement"
    availability_days: int = 0
    routing: dict[str, Any] = Field(sa_column=jsonb(), default_factory=dict)
    created_by: str
    created_at: datetime = Field(sa_column=moment(), default=None)


class Payment(SQLModel, table=True):
    """A payment and its sums. The sums only ever change together with a posting, under this row's
    lock.

    `hold_key` names the posting that holds the authorization; what is open of it is
    `amount_authorized` less what was
    captured and voided.
    """

    __tablename__ = "payments"
    __mapper_args__: ClassVar[dict[str, bool]] = _FRESH

    id: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchants.id")
    status: str
    amount: int = Field(sa_column=bigint())
    currency: str
    amount_held: int = Field(sa_column=bigint(), default=0)
    amount_authorized: int = Field(sa_column=bigint(), default=0)
    amount_captured: int = Field(sa_column=bigint(), default=0)
    amount_capture_reserved: int = Field(sa_column=bigint(), default=0)
    amount_voided: int = Field(sa_column=bigint(), default=0)
    amount_refunded: int = Field(sa_column=bigint(), default=0)
    amount_refund_reserved: int = Field(sa_column=bigint(), default=0)
    amount_fees: int = Field(sa_column=bigint(), default=0)
    amount_made_available: int = Field(sa_column=bigint(), default=0)
    amount_refunded_from_pending: int = Field(sa_column=bigint(), default=0)
    void_open: bool = False
    expired: bool = False
    authorization_closed: bool = False
    capture_method: str
    provider: str | None = None
    provider_reference: str | None = None
    hold_key: str | None = None
    reference: str | None = None
    description: str | None = None
    extra: dict[str, str] = Field(sa_column=jsonb("metadata"), default_factory=dict)
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    next_action: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    needs_attention: bool = False
    authorization_expires_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class Capture(SQLModel, table=True):
    """A capture of a payment. `available_at` is when its money may be moved to available, null
    while a rule withholds it.
    """

    __tablename__ = "captures"
    __mapper_args__: ClassVar[dict[str, bool]] = _FRESH

    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id")
    merchant_id: str
    amount: int = Field(sa_column=bigint())
    currency: str
    status: str
    final: bool = False
    fee: int = Field(sa_column=bigint(), default=0)
    amount_refunded: int = Field(sa_column=bigint(), default=0)
    provider_reference: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    available_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    made_available: bool = False
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class VoidRequest(SQLModel, table=True):
    """One request to void a payment; `number` counts them, so that a refused one can be asked
    again.
    """

    __tablename__ = "voids"
    __mapper_args__: ClassVar[dict[str, bool]] = _FRESH

    payment_id: str = Field(primary_key=True, foreign_key="payments.id")
    number: int = Field(primary_key=True)
    merchant_id: str
    amount: int = Field(sa_column=bigint())
    currency: str
    status: str
    cause: str
    reason: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class Refund(SQLModel, table=True):
    """A refund of a payment. `amount_from_pending` of it was reserved from the payment's own
    pending money.
    """

    __tablename__ = "refunds"
    __mapper_args__: ClassVar[dict[str, bool]] = _FRESH

    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id")
    merchant_id: str
    amount: int = Field(sa_column=bigint())
    amount_from_pending: int = Field(sa_column=bigint(), default=0)
    currency: str
    status: str
    reason: str | None = None
    provider_reference: str | None = None
    hold_key: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class Payout(SQLModel, table=True):
    """A payout to a merchant's bank."""

    __tablename__ = "payouts"
    __mapper_args__: ClassVar[dict[str, bool]] = _FRESH

    id: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchants.id")
    amount: int = Field(sa_column=bigint())
    currency: str
    status: str
    destination_token: str
    provider: str
    provider_reference: str | None = None
    hold_key: str | None = None
    reference: str | None = None
    run_id: str | None = None
    requested_by: str
    reviewed_by: str | None = None
    needs_attention: bool = False
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class DomainEvent(SQLModel, table=True):
    """The outbox: what happened, with the object as it was then. Written in the transaction that
    made it true.

    `created` is the writing transaction's id: readers page only over rows below the snapshot's
    horizon, so that an event
    that commits late is never skipped.
    """

    __tablename__ = "events"

    seq: int | None = Field(
        sa_column=Column(BigInteger, Identity(always=True), primary_key=True), default=None
    )
    id: str
    type: str
    merchant_id: str | None = None
    payment_id: str | None = None
    data: dict[str, Any] = Field(sa_column=jsonb())
    at: datetime = Field(sa_column=moment(), default=None)
