"""Sagas that are reset while their provider owes its final word: what it has answered still holds,
so nothing is sent again and nobody is asked.
"""

from __future__ import annotations

import asyncio

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHistory

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import needs
from tests.conformance.targets import Meaning
from tests.live.providers.test_payer_actions import told_nothing
from tests.live.providers.test_stories import authorized, books_agree, money
from tests.live.providers.world import Stage

__all__ = ["books_agree"]

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
TASK_ENDED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
CALL_ANSWERED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
STATE = "SELECT saga_state FROM operations WHERE saga_id = %s"


@needs(AUTHORIZE, Meaning.ACTION)
def test_reset_while_the_payer_has_to_act_waits_on_for_the_payer(stage: Stage) -> None:
    token = {"type": "card_token", "token": stage.target.tokens[Meaning.ACTION]}
    payment = stage.made("/v1/payments", stage.payment(payment_method=token))
    assert payment["status"] == "requires_action", payment
    asyncio.run(_reset_to_its_start(stage, f"authorize/{payment['id']}"))
    shown = stage.api.get(f"/v1/payments/{payment['id']}").json()
    assert (shown["status"], shown["needs_attention"]) == ("requires_action", False)
    stage.finish_action(payment, succeed=True)
    stage.until(payment, lambda one: one["status"] == "authorized")
    assert stage.effects(payment["id"]) == [("authorize", money(stage, 10_000))]


@needs(AUTHORIZE, CAPTURE, "truth_by_webhook")
def test_reset_while_a_capture_is_pending_waits_on_for_its_webhook(stage: Stage) -> None:
    payment = authorized(stage)
    path = f"/v1/payments/{payment['id']}/captures"
    with told_nothing(stage):
        capture = stage.api.post(path, {"final": True}, headers={"Prefer": "wait=1"}).json()
        assert capture["status"] == "pending", capture
        saga = f"capture/{capture['id']}"
        asyncio.run(_reset_to_its_start(stage, saga))
        assert stage.rows(STATE, saga) == [("running",)]
    stage.until(capture, lambda one: one["status"] == "succeeded")
    assert stage.effects(capture["id"]) == [("capture", money(stage, 10_000))]


async def _reset_to_its_start(stage: Stage, saga_id: str) -> None:
    """Reset as the Temporal UI does, and wait until the new run's call has answered."""
    client = await Client.connect(stage.api.temporal_address)
    first = await client.get_workflow_handle(saga_id).fetch_history()
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=saga_id, run_id=first.run_id),
            reason="a test",
            workflow_task_finish_event_id=_ids(first, TASK_ENDED)[0],
            request_id=f"reset {saga_id}",
        )
    )
    run = client.get_workflow_handle(saga_id, run_id=answer.run_id)
    async with asyncio.timeout(30):
        while not _ids(await run.fetch_history(), CALL_ANSWERED):
            await asyncio.sleep(0.1)


def _ids(history: WorkflowHistory, kind: EventType.ValueType) -> list[int]:
    return [event.event_id for event in history.events if event.event_type == kind]
