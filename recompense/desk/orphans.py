"""A person's answer about effects that stand at a provider and were taken back here."""

from __future__ import annotations

import uuid

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    Resolution,
    ResolveDecision,
    SagaKind,
    SagaRef,
)
from recompense.contracts.starting import FORGET_ORPHANS, TASK_TIMEOUT
from recompense.contracts.steps import ForgetOrphans
from recompense.desk.executions import answered
from recompense.desk.rows import Story
from recompense.domain.failures import Refused
from recompense.domain.states import SagaState
from recompense.persistence import journal

_CAPTURE_STEP = "capture"


def forgetting_id(saga_id: str, key: str) -> str:
    """The workflow that carries out the answer with this key."""
    return f"orphans/{saga_id}/{key}"


async def forget(client: Client, story: Story, resolution: Resolution, key: str | None) -> None:
    """Let our books go of what was undone at the provider, and audit who said so; once for each
    `key`. Raises `TemporalSilent`.
    """
    operation = story.operation
    saga = SagaRef(
        saga_id=operation.saga_id,
        kind=SagaKind(operation.kind),
        operation_id=operation.operation_id,
        merchant_id=operation.merchant_id,
        payment_id=operation.payment_id,
    )
    await answered(
        client.execute_workflow(
            FORGET_ORPHANS,
            ForgetOrphans(saga=saga, actor=resolution.actor, reason=resolution.reason),
            id=forgetting_id(operation.saga_id, key or str(uuid.uuid4())),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_queue=SAGA_TASK_QUEUE,
            task_timeout=TASK_TIMEOUT,
            static_summary=f"Forget what was undone at the provider for {operation.saga_id}",
        )
    )


def check_answer(story: Story, decision: ResolveDecision) -> None:
    """Refuse what cannot come of an orphan: `nothing_to_retry`, and `orphan_cannot_be_kept`."""
    if decision is ResolveDecision.RETRY:
        raise Refused(
            "nothing_to_retry",
            "An effect stands at the provider: answer succeeded to keep it, or failed once it was"
            " undone there.",
        )
    if decision is ResolveDecision.SUCCEEDED and not _may_be_kept(story):
        raise Refused(
            "orphan_cannot_be_kept",
            "This saga has ended another way, or the effect is being undone: undo it at the"
            " provider, then answer failed.",
        )


def has_charged_the_payer(story: Story) -> bool:
    """Whether an automatic capture stands whose authorization was taken back. Its next attempt
    would authorize and capture anew.

    One that is booked, and was taken back by the provider, is none: its saga has ended well.
    """
    operation = story.operation
    starts_over = operation.kind == SagaKind.AUTHORIZE and operation.saga_state == SagaState.FAILED
    return starts_over and any(orphan.step == _CAPTURE_STEP for orphan in story.orphans)


def _may_be_kept(story: Story) -> bool:
    """Whether the saga's next attempt takes up an effect that stands, instead of making its own."""
    if story.operation.saga_state != SagaState.FAILED or has_charged_the_payer(story):
        return False
    undos = {
        (row.step, row.attempt): row
        for row in sorted(story.journal, key=lambda row: row.leg)
        if row.step.endswith(journal.ORPHAN_SUFFIX)
    }
    return all(
        orphan.outcome["kind"] == "approved"
        and journal.stays(undos.get((orphan.step + journal.ORPHAN_SUFFIX, orphan.attempt)))
        for orphan in story.orphans
    )
