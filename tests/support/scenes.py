"""What the live stories share: inputs, waits and looks at the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    PayoutInput,
    PayoutReview,
    PayoutReviewed,
    ProviderEventInput,
)
from recompense.contracts.starting import event_workflow_id
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.saga_tables import ProviderEventRow
from tests.support.platform import MERCHANT, Platform, authorize_input
from workflows.authorize import AuthorizePayment
from workflows.provider_events import ApplyProviderEvent

_SIGNALS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL
_UPDATES = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE
_RESETTABLE = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED: "started",
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "completed",
}


async def eventually(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until an awaited condition is truthy, and return it."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await condition()
        if found or asyncio.get_running_loop().time() > deadline:
            assert found, "it did not come true in time"
            return found
        await asyncio.sleep(0.1)


def payout_input(**changes: Any) -> PayoutInput:
    return PayoutInput.model_validate(
        {
            "payout_id": new_id(IdPrefix.PAYOUT),
            "merchant_id": MERCHANT,
            "amount": 1_000,
            "currency": "EUR",
            "token": "tok_ok",
            "requested_by": "finance",
            **changes,
        }
    )


def on(payment: Any) -> dict[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "merchant_id": MERCHANT,
        "requested_by": "backend",
    }


async def review(platform: Platform, payout: Any, word: PayoutReview) -> PayoutReviewed:
    reviewed: PayoutReviewed = await platform.handle(payout).execute_update(
        "review", word, result_type=PayoutReviewed
    )
    return reviewed


async def operation(platform: Platform, saga: Any) -> Any:
    (row,) = await platform.rows(
        "SELECT * FROM operations WHERE saga_id = :id", id=saga.ref().saga_id
    )
    return row


async def captured(platform: Platform) -> Any:
    authorize = authorize_input(capture_method="automatic")
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "captured"
    return authorize


async def reset(
    platform: Platform, saga: Any, run_id: str, event_id: int, *, reapply: bool = True
) -> None:
    """Reset a saga as `reset_workflow` does."""
    workflow_id = saga.ref().saga_id
    await reset_workflow(platform, workflow_id, run_id, event_id, reapply=reapply)


async def reset_workflow(
    platform: Platform, workflow_id: str, run_id: str, event_id: int, *, reapply: bool = True
) -> None:
    """Reset as the Temporal UI does; `reapply`: whether later signals and updates come again."""
    excluded = () if reapply else (_SIGNALS, _UPDATES)
    await platform.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=platform.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason="a test",
            workflow_task_finish_event_id=event_id,
            request_id=new_id(IdPrefix.EVENT),
            reset_reapply_exclude_types=excluded,
        )
    )


async def reset_points(platform: Platform, saga: Any) -> tuple[str, list[tuple[int, str]]]:
    """The run of a saga, and each event that it may be reset to with what it is."""
    return await reset_points_of(platform.handle(saga))


async def reset_points_of(
    handle: WorkflowHandle[Any, Any],
) -> tuple[str, list[tuple[int, str]]]:
    """The newest run of a workflow, and each event that it may be reset to with what it is."""
    history = await handle.fetch_history()
    points = [
        (event.event_id, _RESETTABLE[event.event_type])
        for event in history.events
        if event.event_type in _RESETTABLE
    ]
    return history.run_id, points


async def has_effect(platform: Platform, saga: Any, kind: str) -> bool:
    made = platform.sandbox.effects(saga.ref().operation_id)
    return any(effect["operation"] == kind for effect in made)


async def state_is(platform: Platform, saga: Any, state: str) -> bool:
    rows = await platform.rows(
        "SELECT 1 FROM operations WHERE saga_id = :id AND saga_state = :state",
        id=saga.ref().saga_id,
        state=state,
    )
    return bool(rows)


async def stored_event(
    platform: Platform, effect_key: str | None, operation_id: str | None = None
) -> ProviderEventInput:
    """Store a provider's event as the API does."""
    event = ProviderEventInput(provider="sandbox", event_id=new_id(IdPrefix.EVENT))
    async with platform.database.transaction() as session:
        session.add(
            ProviderEventRow(
                provider=event.provider,
                event_id=event.event_id,
                event_type="any",
                operation_id=operation_id,
                effect_key=effect_key,
                payload={},
            )
        )
    return event


async def deliver(platform: Platform, effect_key: str | None, operation_id: str) -> str:
    """Store an event and apply it. Returns what its workflow says that it did."""
    event = await stored_event(platform, effect_key, operation_id)
    done: str = await platform.client.execute_workflow(
        ApplyProviderEvent.run,
        event,
        id=event_workflow_id(event),
        task_queue=SAGA_TASK_QUEUE,
    )
    return done
