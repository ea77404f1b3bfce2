"""The tables of settlement: reports as they came, reconciliations, and the breaks that they found.

Reports, their lines and what they settled are append-only: the database refuses anything else.
"""

from datetime import date, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import (
    bigint,
    moment,
    optional_bigint,
    optional_jsonb,
    optional_moment,
)

__all__ = [
    "Break",
    "Reconciliation",
    "SettlementChunk",
    "SettlementLineRow",
    "SettlementLoad",
    "SettlementMatch",
    "SettlementReport",
]


class SettlementReport(SQLModel, table=True):
    """A report as it came, under the hash of its bytes. A provider may replace a date's report."""

    __tablename__ = "settlement_reports"

    id: int | None = Field(
        sa_column=Column(BigInteger, Identity(always=True), primary_key=True), default=None
    )
    provider: str
    report_date: date
    sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    bytes: int = Field(sa_column=bigint())
    fetched_at: datetime = Field(sa_column=moment(), default=None)


class SettlementChunk(SQLModel, table=True):
    """A part of a report's bytes; `number` puts them in order, from 1."""

    __tablename__ = "settlement_chunks"

    report_id: int = Field(primary_key=True, sa_type=BigInteger)
    number: int = Field(primary_key=True)
    body: bytes = Field(sa_type=LargeBinary)


class SettlementLoad(SQLModel, table=True):
    """Says that all lines of a report are there: it is written with them, or not at all."""

    __tablename__ = "settlement_loads"

    report_id: int = Field(primary_key=True, sa_type=BigInteger)
    lines: int
    covers_until: datetime = Field(sa_type=DateTime(timezone=True))
    loaded_at: datetime = Field(sa_column=moment(), default=None)


class SettlementLineRow(SQLModel, table=True):
    """A line of a report. Amounts are minor units."""

    __tablename__ = "settlement_lines"

    report_id: int = Field(primary_key=True, sa_type=BigInteger)
    number: int = Field(primary_key=True)
    kind: str
    provider_reference: str | None = None
    operation_id: str | None = None
    effect_key: str | None = None
    amount: int = Field(sa_type=BigInteger)
    fee: int = Field(sa_type=BigInteger)
    net: int = Field(sa_type=BigInteger)
    currency: str
    effected_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class SettlementMatch(SQLModel, table=True):
    """An effect that is settled, once: by which line, and by which rule that line was matched.

    `clearing` minor units have left the provider's clearing account by it, `fee` were the
    provider's. Without a report a person has settled it.
    """

    __tablename__ = "settlement_matches"

    match_key: str = Field(primary_key=True)
    provider: str
    report_id: int | None = Field(sa_column=optional_bigint(), default=None)
    number: int | None = None
    kind: str
    rule: str
    clearing: int = Field(sa_type=BigInteger)
    fee: int = Field(sa_type=BigInteger)
    currency: str
    operation_id: str
    at: datetime = Field(sa_column=moment(), default=None)


class Reconciliation(SQLModel, table=True):
    """One comparison of a provider's report of one date with our books; `number` counts them."""

    __tablename__ = "reconciliations"
    __mapper_args__: ClassVar[dict[str, bool]] = {"eager_defaults": True}

    id: str = Field(primary_key=True)
    provider: str
    report_date: date
    number: int
    status: str = "running"
    lines: int = 0
    matched: int = 0
    breaks: int = 0
    report_id: int | None = Field(sa_column=optional_bigint(), default=None)
    report_hash: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    requested_by: str
    created_at: datetime = Field(sa_column=moment(), default=None)
    finished_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class Break(SQLModel, table=True):
    """A difference between a report and our books.

    `identity` says what it is about, so that it is found once. `superseded`: a later report
    showed that there is no difference, and it may be found anew. `repair` is the word that is
    carried out, or was: booked or not, as the status says.
    """

    __tablename__ = "breaks"
    __mapper_args__: ClassVar[dict[str, bool]] = {"eager_defaults": True}

    id: str = Field(primary_key=True)
    kind: str
    status: str = "open"
    provider: str
    report_date: date
    reconciliation_id: str
    identity: str
    report_id: int | None = Field(sa_column=optional_bigint(), default=None)
    number: int | None = None
    line_kind: str
    match_key: str | None = None
    rule: str | None = None
    operation_id: str | None = None
    payment_id: str | None = None
    effect_key: str | None = None
    currency: str
    expected: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    found: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    proposal: str
    assignee: str | None = None
    write_off_asked_by: str | None = None
    repair: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    superseded: bool = False
    resolution: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    resolved_at: datetime | None = Field(sa_column=optional_moment(), default=None)
