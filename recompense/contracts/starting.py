"""How a saga is started: the same options whoever starts it, as data.

A started saga is found again by its id alone, so a second start attaches to the running one and is
refused once it has ended: the operation's row says what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel
from temporalio.common import TypedSearchAttributes

from recompense.contracts import search_attributes, words
from recompense.contracts.payout_runs import PayoutRunDecision, PayoutRunInput
from recompense.contracts.repairs import REPAIR_BREAK, RepairAnswered, RepairInput
from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    AuthorizeInput,
    Decision,
    PayoutInput,
    ProviderEventInput,
    SagaKind,
)
from recompense.contracts.views import CaptureView, PaymentView, PayoutView, RefundView
from recompense.contracts.words import AnySagaInput

TASK_TIMEOUT = timedelta(seconds=2.5)
"""A worker that died inside a workflow task costs this long."""

WORKFLOW_TYPES: dict[SagaKind, str] = {
    SagaKind.AUTHORIZE: "AuthorizePayment",
    SagaKind.CAPTURE: "CapturePayment",
    SagaKind.VOID: "VoidAuthorization",
    SagaKind.REFUND: "RefundPayment",
    SagaKind.PAYOUT: "Payout",
}
"""The explicit type names under which the workflows are registered; they stand in histories."""

APPLY_PROVIDER_EVENT = "ApplyProviderEvent"
FORGET_ORPHANS = "ForgetOrphans"

AnyDecision = (
    Decision[PaymentView] | Decision[CaptureView] | Decision[RefundView] | Decision[PayoutView]
)

_DECISIONS: dict[SagaKind, type[AnyDecision]] = {
    SagaKind.AUTHORIZE: Decision[PaymentView],
    SagaKind.CAPTURE: Decision[CaptureView],
    SagaKind.VOID: Decision[PaymentView],
    SagaKind.REFUND: Decision[RefundView],
    SagaKind.PAYOUT: Decision[PayoutView],
}


Decided = TypeVar("Decided", bound=BaseModel)


@dataclass(frozen=True)
class SagaStart(Generic[Decided]):
    """All that Temporal is told when a saga starts.

    `decision` is the type of the update's answer.
    """

    workflow: str
    workflow_id: str
    argument: AnySagaInput | PayoutRunInput | RepairInput
    decision: type[Decided]
    search_attributes: TypedSearchAttributes
    static_summary: str
    static_details: str
    task_queue: str = SAGA_TASK_QUEUE
    task_timeout: timedelta = TASK_TIMEOUT


def saga_start(
    saga: AnySagaInput, *, request_id: str | None = None, likely_provider: str | None = None
) -> SagaStart[AnyDecision]:
    """The options of one saga's start.

    `request_id` names the HTTP request that asked for it. `likely_provider` is shown until the saga
    has decided: a guess that comes true saves a history event.
    """
    ref = saga.ref()
    named = saga.provider if isinstance(saga, AuthorizeInput | PayoutInput) else None
    provider = named or likely_provider
    details = words.details(saga)
    if request_id is not None:
        details += f"\n- Request: `{request_id}`"
    return SagaStart(
        workflow=WORKFLOW_TYPES[ref.kind],
        workflow_id=ref.saga_id,
        argument=saga,
        decision=_DECISIONS[ref.kind],
        search_attributes=search_attributes.at_start(ref, provider),
        static_summary=words.summary(saga),
        static_details=details,
    )


def payout_run_start(
    run: PayoutRunInput, *, request_id: str | None = None
) -> SagaStart[PayoutRunDecision]:
    """The options of a payout run's start."""
    details = f"**{run.summary}**\n\n- Asked by: `{run.requested_by}`"
    if request_id is not None:
        details += f"\n- Request: `{request_id}`"
    return SagaStart(
        workflow="PayoutRun",
        workflow_id=run.workflow_id,
        argument=run,
        decision=PayoutRunDecision,
        search_attributes=search_attributes.of_payout_run(run.run_id),
        static_summary=run.summary,
        static_details=details,
    )


def repair_start(
    repair: RepairInput, *, request_id: str | None = None
) -> SagaStart[RepairAnswered]:
    """The options of a repair's start."""
    details = f"**{repair.summary}**\n\n- Break: `{repair.break_id}`"
    if request_id is not None:
        details += f"\n- Request: `{request_id}`"
    return SagaStart(
        workflow=REPAIR_BREAK,
        workflow_id=repair.workflow_id,
        argument=repair,
        decision=RepairAnswered,
        search_attributes=search_attributes.of_repair(repair.break_id, repair.provider),
        static_summary=repair.summary,
        static_details=details,
    )


def event_workflow_id(event: ProviderEventInput) -> str:
    """The id under which a stored webhook is applied: a duplicate delivery finds the same one."""
    return f"provider-event/{event.provider}/{event.event_id}"
