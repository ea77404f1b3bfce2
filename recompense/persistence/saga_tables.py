"""The tables that make money move once: operations, attempts, runs, the journal, orphans, the inbox
and the audit trail.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Identity
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import bigint, jsonb, moment, optional_jsonb, optional_moment

__all__ = [
    "Attempt",
    "AuditRecord",
    "BreakerRow",
    "JournalRow",
    "Operation",
    "OperationRun",
    "Orphan",
    "ProviderEventRow",
]


class Operation(SQLModel, table=True):
    """One run of one lifecycle, whatever Temporal runs carried it. Its row lock orders all of its
    steps.

    `attempt` and `attempt_state` are those of the present business attempt; earlier attempts are
    closed. `input` is
    complete, so that a fresh run can be started when Temporal has forgotten the old ones.
    """

    __tablename__ = "operations"

    saga_id: str = Field(primary_key=True)
    kind: str
    operation_id: str
    payment_id: str | None = None
    merchant_id: str
    provider: str | None = None
    input: dict[str, Any] = Field(sa_column=jsonb())
    requested_by: str
    attempt: int = 1
    attempt_state: str = "open"
    saga_state: str = "running"
    question: str | None = None
    failure: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    since: datetime = Field(sa_column=moment(), default=None)
    created_at: datetime = Field(sa_column=moment(), default=None)
    updated_at: datetime = Field(sa_column=moment(touched=True), default=None)


class Attempt(SQLModel, table=True):
    """A business attempt and what `admit` decided for it, once."""

    __tablename__ = "attempts"

    saga_id: str = Field(primary_key=True, foreign_key="operations.saga_id")
    number: int = Field(primary_key=True)
    decision: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    opened_by_run: str
    opened_at: datetime = Field(sa_column=moment(), default=None)
    ended_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    report: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)


class OperationRun(SQLModel, table=True):
    """A Temporal run that was seen working on an operation: the audit record of a start or a reset.

    `attempt` is the newest attempt that this run may work on.
    """

    __tablename__ = "operation_runs"

    saga_id: str = Field(primary_key=True, foreign_key="operations.saga_id")
    run_id: str = Field(primary_key=True)
    workflow_id: str
    attempt: int
    first_seen_at: datetime = Field(sa_column=moment(), default=None)


class JournalRow(SQLModel, table=True):
    """An effect at a provider: what was intended, who may send it until when, and what came of it.

    Unique on (saga, step, attempt, leg) and on the effect key. `sendable_until` is the present send
    right's end, by the
    database's clock; nobody else may send before it has passed. The first final outcome wins and
    never changes. `booked` says
    that the rows and the ledger follow it.
    """

    __tablename__ = "journal"

    saga_id: str = Field(primary_key=True, foreign_key="operations.saga_id")
    step: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    leg: int = Field(primary_key=True, default=1)
    provider: str
    operation_id: str
    effect_key: str
    call: dict[str, Any] = Field(sa_column=jsonb())
    call_digest: str
    right_run_id: str | None = None
    right_try: int = 1
    sendable_until: datetime | None = Field(sa_column=optional_moment(), default=None)
    first_sent_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    outcome_kind: str | None = None
    outcome: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    outcome_source: str | None = None
    payout_state: str | None = None
    final: bool = False
    booked: bool = False
    recorded_at: datetime | None = Field(sa_column=optional_moment(), default=None)
    calls: list[dict[str, Any]] = Field(sa_column=jsonb(), default_factory=list)
    created_at: datetime = Field(sa_column=moment(), default=None)


class Orphan(SQLModel, table=True):
    """An effect that became known after its attempt was compensating or closed.

    `status` is `open` (its undo is under way), `undone`, `parked` (a person decides) or `adopted`
    (it stands, and our books follow it). `reserved` minor units of the payment's hold are kept for
    a capture until a person has decided.
    """

    __tablename__ = "orphans"

    id: int | None = Field(
        sa_column=Column(BigInteger, Identity(always=True), primary_key=True), default=None
    )
    saga_id: str = Field(foreign_key="operations.saga_id")
    step: str
    attempt: int
    leg: int = 1
    outcome: dict[str, Any] = Field(sa_column=jsonb())
    status: str = "open"
    reserved: int = Field(sa_column=bigint(), default=0)
    found_at: datetime = Field(sa_column=moment(), default=None)
    settled_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class ProviderEventRow(SQLModel, table=True):
    """The inbox: a verified webhook, stored once under the provider's own event id, and applied by
    its workflow.
    """

    __tablename__ = "provider_events"

    provider: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    event_type: str
    object_reference: str | None = None
    operation_id: str | None = None
    effect_key: str | None = None
    payload: dict[str, Any] = Field(sa_column=jsonb())
    status: str = "received"
    detail: str | None = None
    received_at: datetime = Field(sa_column=moment(), default=None)
    applied_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class AuditRecord(SQLModel, table=True):
    """Who changed money or configuration by hand, when and why. Append-only."""

    __tablename__ = "audit_log"

    id: int | None = Field(
        sa_column=Column(BigInteger, Identity(always=True), primary_key=True), default=None
    )
    at: datetime = Field(sa_column=moment(), default=None)
    actor: str
    action: str
    target: str
    reason: str | None = None
    details: dict[str, Any] = Field(sa_column=jsonb(), default_factory=dict)


class BreakerRow(SQLModel, table=True):
    """The shared state of one circuit breaker: a provider and a class of its operations."""

    __tablename__ = "breakers"

    provider: str = Field(primary_key=True)
    operation_class: str = Field(primary_key=True)
    phase: str
    failures: int = 0
    probes: int = 0
    probe_at: datetime | None = Field(sa_column=optional_moment(), default=None)
