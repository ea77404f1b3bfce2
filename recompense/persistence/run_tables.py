"""The tables of payout runs: the run, its items, and what a business day was run for."""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import jsonb, moment, optional_jsonb, optional_moment

__all__ = ["PayoutRunDay", "PayoutRunItemRow", "PayoutRunRow"]


class PayoutRunDay(SQLModel, table=True):
    """Whether a name's business date is run for all currencies at once or for each (`scope`). The
    runs refer to it, so the two exclude each other in the database.
    """

    __tablename__ = "payout_run_days"

    name: str = Field(primary_key=True)
    business_date: date = Field(primary_key=True)
    scope: str


class PayoutRunRow(SQLModel, table=True):
    """A payout run. While it is `building`, `frozen_to` is the last merchant that was looked at.

    `items_count` and `amount_total` are final once it is built. `fired_at` is set on what a
    schedule started. `review_key` names the review that counted.
    """

    __tablename__ = "payout_runs"
    __mapper_args__: ClassVar[dict[str, bool]] = {"eager_defaults": True}

    id: str = Field(primary_key=True)
    name: str
    business_date: date
    currency: str | None = None
    scope: str
    status: str
    fired_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    frozen_to: str | None = None
    items_count: int = 0
    amount_total: dict[str, int] = Field(sa_column=jsonb(), default_factory=dict)
    created_by: str
    reviewed_by: str | None = None
    review_key: str | None = None
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)

    def carried_on(self) -> dict[str, Any]:
        """The input that carries this run on, field by field."""
        return {
            "name": self.name,
            "business_date": self.business_date,
            "currency": self.currency,
            "run_id": self.id,
            "fired_at": self.fired_at,
            "requested_by": self.created_by,
        }

    @property
    def is_open(self) -> bool:
        """Whether something is left to do, without anybody making items ready again."""
        return self.status in {"building", "awaiting_approval", "running"}


class PayoutRunItemRow(SQLModel, table=True):
    """What a run pays to one merchant in one currency, frozen when the run was built.

    `payout_id` is chosen with the row, so that whoever starts the item's saga starts the same one.
    `again`: a saga of that id has failed before, and is to be carried on: what its payout says is
    news only once there are more attempts than `attempts_before`.
    """

    __tablename__ = "payout_run_items"
    __mapper_args__: ClassVar[dict[str, bool]] = {"eager_defaults": True}

    id: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="payout_runs.id")
    merchant_id: str = Field(foreign_key="merchants.id")
    currency: str
    amount: int = Field(sa_column=Column(BigInteger, nullable=False))
    state: str
    payout_id: str
    again: bool = False
    attempts_before: int = 0
    token: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)
