"""What an operation costs in Temporal, counted through the API: these figures are promises."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api
from tests.support.sandbox import Sandbox

TASK_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
ANSWERED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
ACTIVITY = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
MARKER = EventType.EVENT_TYPE_MARKER_RECORDED


async def events_of(api: Api, workflow_id: str) -> list[Any]:
    client = await Client.connect(
        api.temporal_address, data_converter=pydantic_data_converter, lazy=True
    )
    handle = client.get_workflow_handle(workflow_id)
    await handle.result()
    return list((await handle.fetch_history()).events)


def counted(events: list[Any]) -> Counter[int]:
    return Counter(event.event_type for event in events)


async def test_authorization_is_one_workflow_of_sixteen_events_at_most(
    api: Api, sandbox: Sandbox
) -> None:
    payment = api.post("/v1/payments", PAYMENT).json()
    assert payment["status"] == "authorized"
    events = await events_of(api, f"authorize/{payment['id']}")
    assert len(events) <= 16
    answered = next(event for event in events if event.event_type == ANSWERED)
    tasks = [e for e in events if e.event_type == TASK_DONE and e.event_id < answered.event_id]
    assert len(tasks) == 2
    counts = counted(events)
    assert (counts[ACTIVITY], counts[MARKER]) == (1, 2)
    assert len(sandbox.effects(payment["id"])) == 1
    client = await Client.connect(api.temporal_address)
    mine = [found.id async for found in client.list_workflows(f"PaymentId = '{payment['id']}'")]
    assert mine == [f"authorize/{payment['id']}"]


@pytest.mark.parametrize(
    ("kind", "path", "most"), [("capture", "captures", 16), ("refund", "refunds", 16)]
)
async def test_synchronous_operation_takes_sixteen_events_at_most(
    api: Api, kind: str, path: str, most: int
) -> None:
    payment = api.post("/v1/payments", {**PAYMENT, "capture_method": "automatic"}).json()
    if kind == "capture":
        payment = api.post("/v1/payments", PAYMENT).json()
    made = api.post(f"/v1/payments/{payment['id']}/{path}", {}).json()
    assert made["status"] == "succeeded"
    events = await events_of(api, f"{kind}/{made['id']}")
    assert len(events) <= most
    assert counted(events)[TASK_DONE] == 2
