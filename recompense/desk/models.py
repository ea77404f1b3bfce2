"""Sagas as people see them: the shapes of `ops/sagas`, and what the command line tells beyond."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from recompense.contracts.provider import CallRecord, Frozen


class ShownState(StrEnum):
    """Where a saga stands, for a person: what is compensating still runs."""

    RUNNING = "running"
    FAILED = "failed"
    PARKED = "parked"
    DONE = "done"


class SagaFailure(Frozen):
    """Why a saga failed or was refused. `code` is stable."""

    code: str
    message: str
    provider_code: str | None = None


class SagaRow(Frozen):
    """One saga. `since` is when it came to its present state; `ui_url` its Temporal UI page."""

    workflow_id: str
    run_id: str | None
    kind: str
    operation_id: str
    payment_id: str | None
    merchant_id: str
    provider: str | None
    state: ShownState
    question: str | None
    failure: SagaFailure | None
    attempt: int
    since: datetime
    ui_url: str


class StepState(StrEnum):
    """Where one step of one attempt stands."""

    INTENDED = "intended"
    """Decided and journaled; not sent."""
    UNKNOWN = "unknown"
    """It may have been sent, and nobody knows yet what became of it."""
    WAITING = "waiting"
    """The provider has it and owes its final word."""
    DONE = "done"
    DECLINED = "declined"
    NOT_MADE = "not_made"
    """It provably never happened."""
    COMPENSATED = "compensated"


class SagaStep(Frozen):
    """One step of one attempt. `outcome` is the provider's word, null while there is none;
    `compensation` says in a few words how it was taken back, null when it was not.
    """

    name: str
    attempt: int
    state: StepState
    effect_key: str | None
    outcome: str | None
    compensation: str | None


class SagaDetail(SagaRow):
    """A saga with its steps, oldest first."""

    steps: tuple[SagaStep, ...]


class ProviderCall(CallRecord):
    """An HTTP call to a provider, and the step that it was made for."""

    step: str
    attempt: int


class RunSeen(Frozen):
    """A Temporal run that worked on the operation: its start, or a reset."""

    run_id: str
    workflow_id: str
    attempt: int
    first_seen_at: datetime


class AuditEntry(Frozen):
    """What a person did with the saga, when and why."""

    at: datetime
    actor: str
    action: str
    reason: str | None


class CompensationShown(Frozen):
    """How an attempt was taken back."""

    attempt: int
    cause: str
    undone: tuple[str, ...]


class SagaStory(SagaDetail):
    """A saga's whole story, as the command line tells it."""

    summary: str
    calls: tuple[ProviderCall, ...]
    runs: tuple[RunSeen, ...]
    compensations: tuple[CompensationShown, ...]
    audit: tuple[AuditEntry, ...]
