"""The tables of outbound webhooks: endpoints, deliveries, the place in the feed, the tallies."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import bigint, moment, optional_moment
from recompense.persistence.ledger_tables import Xid8

__all__ = ["WebhookCursor", "WebhookDelivery", "WebhookEndpoint", "WebhookTally"]


class WebhookEndpoint(SQLModel, table=True):
    """Who takes events. Secrets are sealed; `previous_secret` signs too until `previous_until`.

    `rotation` names the request that made the present secret. `failing_since` is null while the
    last try was taken. Without `merchant_id` it takes the events of all merchants.
    """

    __tablename__ = "webhook_endpoints"
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    id: str = Field(primary_key=True)
    merchant_id: str | None = Field(default=None, foreign_key="merchants.id")
    url: str
    events: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    status: str = "enabled"
    secret: str | None = None
    previous_secret: str | None = None
    previous_until: datetime | None = Field(sa_column=optional_moment(), default=None)
    rotation: str | None = None
    failing_since: datetime | None = Field(sa_column=optional_moment(), default=None)
    enabled_at: datetime = Field(sa_column=moment(), default=None)
    created_by: str
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint.

    `claims` counts how often a courier took it, and only grows; `tries` and `began_at` belong to
    the present series of tries. While a courier has it, `next_attempt_at` is when it is given up
    for dead.
    """

    __tablename__ = "webhook_deliveries"

    endpoint_id: str = Field(primary_key=True, foreign_key="webhook_endpoints.id")
    event_id: str = Field(primary_key=True)
    state: str = "pending"
    claims: int = 0
    tries: int = 0
    began_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    next_attempt_at: datetime = Field(sa_column=moment(), default=None)
    last_outcome: str | None = None
    last_status: int | None = Field(default=None, sa_type=SmallInteger)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class WebhookTally(SQLModel, table=True):
    """How many tries have ended so, ever."""

    __tablename__ = "webhook_tallies"

    outcome: str = Field(primary_key=True)
    tries: int = Field(sa_column=bigint(), default=0)


class WebhookCursor(SQLModel, table=True):
    """The last event that was handed out, in the order of the feed. One row."""

    __tablename__ = "webhook_cursor"

    id: int = Field(primary_key=True, sa_type=SmallInteger)
    created: str = Field(sa_type=Xid8)
    seq: int = Field(sa_type=BigInteger)
