"""What the stories have in common: how a saga, a payment or an event is made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio.client import WorkflowFailureError

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    PayoutInput,
)
from recompense.contracts.words import AnySagaInput
from recompense.desk import SagaDesk, UnknownSaga
from recompense.desk.models import ShownState
from recompense.domain.ids import IdPrefix, new_id
from tests.support.platform import MERCHANT, Platform, authorize_input
from tests.support.scenes import stored_event
from workflows.authorize import AuthorizePayment
from workflows.provider_events import ApplyProviderEvent


async def a_payment(platform: Platform, **changes: object) -> dict[str, Any]:
    """An authorized payment, and what an operation on it has to name."""
    payment = authorize_input(**changes)
    await platform.decide(AuthorizePayment, payment)
    return {
        "payment_id": payment.payment_id,
        "merchant_id": MERCHANT,
        "requested_by": "backend",
    }


async def ended(platform: Platform, saga: AnySagaInput) -> str:
    """The workflow id of a saga, once its run has ended in whatever way."""
    with contextlib.suppress(WorkflowFailureError):
        await platform.handle(saga).result()
    return saga.ref().saga_id


async def until_parked(desk: SagaDesk, saga: AnySagaInput) -> None:
    """Wait for a saga's question."""
    while True:
        try:
            if (await desk.show(saga.ref().saga_id)).state is ShownState.PARKED:
                return
        except UnknownSaga:
            pass
        await asyncio.sleep(0.2)


async def a_payout(platform: Platform, **changes: object) -> PayoutInput:
    """A payout of money that is there."""
    await a_payment(platform, capture_method="automatic")
    values = {"amount": 1_000, "currency": "EUR", "token": "tok_ok", "requested_by": "finance"}
    return PayoutInput.model_validate(
        {"payout_id": new_id(IdPrefix.PAYOUT), "merchant_id": MERCHANT, **values, **changes}
    )


@asynccontextmanager
async def two_providers(platform: Platform) -> AsyncIterator[None]:
    """Meanwhile the merchant's terms name a second provider: the sandbox beside the first."""
    await platform.rows_changed(
        "UPDATE merchants SET routing = jsonb_build_object('prefer', ARRAY['sandbox', 'spare'])"
    )
    yield
    await platform.rows_changed("UPDATE merchants SET routing = DEFAULT")


async def an_event(platform: Platform, effect_key: str) -> str:
    """Store an event as the API does, and apply it: the id of the workflow that did."""
    event = await stored_event(platform, effect_key)
    workflow_id = f"provider-event/sandbox/{event.event_id}"
    await platform.client.execute_workflow(
        ApplyProviderEvent.run, event, id=workflow_id, task_queue=SAGA_TASK_QUEUE
    )
    return workflow_id


async def run_once(platform: Platform, workflow: Any, *arguments: object) -> str:
    workflow_id = new_id(IdPrefix.EVENT)
    await platform.client.execute_workflow(
        workflow, args=arguments, id=workflow_id, task_queue=SAGA_TASK_QUEUE
    )
    return workflow_id
