"""Record a history of each story that the workflows can tell: `python -m tests.replay.record`.

Record anew before a release. After it, the old files stay beside the new ones: runs that began then
are still under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    CaptureInput,
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    RefundInput,
    Resolution,
    ResolveDecision,
    SweepInput,
    VoidInput,
)
from recompense.contracts.words import AnySagaInput
from recompense.desk import SagaDesk, UnknownSaga
from recompense.desk.models import ShownState
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.migrations import upgrade
from tests.support.platform import MERCHANT, Platform, authorize_input, running_platform
from tests.support.postgres import shared_server
from tests.support.sandbox import running_sandbox
from tests.support.temporal import running_temporal
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment
from workflows.void import VoidAuthorization

HISTORIES = Path(__file__).parent / "histories"

_PRIVATE = frozenset({"identity", "stackTrace", "binaryChecksum"})
"""What names the machine that recorded: it is no part of what a replay reads."""

Story = Callable[[Platform], Awaitable[str]]


async def authorized(platform: Platform) -> str:
    """A payment without faults."""
    payment = authorize_input()
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def captured_at_once(platform: Platform) -> str:
    """Automatic capture."""
    payment = authorize_input(capture_method="automatic")
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def declined(platform: Platform) -> str:
    """A card that is refused."""
    payment = authorize_input(token="tok_declined")
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def lost_answer(platform: Platform) -> str:
    """An answer that got lost and was looked up."""
    payment = authorize_input()
    platform.sandbox.arm("authorize", "timeout_after", reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def compensated(platform: Platform) -> str:
    """An automatic capture that stays unavailable: the authorization is voided."""
    payment = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def parked_and_resolved(platform: Platform) -> str:
    """A saga that asks, and a person who says that it happened."""
    payment = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=payment.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, payment))
    desk = SagaDesk(platform.database, platform.client, ui_url="")
    await until_parked(desk, payment)
    answer = Resolution(
        decision=ResolveDecision.SUCCEEDED, actor="ops", reason="seen there", provider_reference="r"
    )
    await desk.resolve(payment.ref().saga_id, answer)
    await asked
    return await ended(platform, payment)


async def captured_in_part(platform: Platform) -> str:
    """A capture."""
    capture = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **await a_payment(platform)
    )
    await platform.decide(CapturePayment, capture)
    return await ended(platform, capture)


async def refused_capture(platform: Platform) -> str:
    """A capture of more than there is: a refusal is a result."""
    capture = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=99_999, **await a_payment(platform)
    )
    await platform.decide(CapturePayment, capture)
    return await ended(platform, capture)


async def voided(platform: Platform) -> str:
    """A void."""
    void = VoidInput(number=1, **await a_payment(platform))
    await platform.decide(VoidAuthorization, void)
    return await ended(platform, void)


async def refunded(platform: Platform) -> str:
    """A refund whose final word came later."""
    common = await a_payment(platform, capture_method="automatic")
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), **common)
    platform.sandbox.arm("refund", "pending", reference=refund.refund_id, delay_ms=500)
    await platform.decide(RefundPayment, refund)
    return await ended(platform, refund)


async def approved_payout(platform: Platform) -> str:
    """A payout that was approved by a second person, and paid."""
    await a_payment(platform, capture_method="automatic")
    payout = PayoutInput(
        payout_id=new_id(IdPrefix.PAYOUT),
        merchant_id=MERCHANT,
        amount=1_000,
        currency="EUR",
        token="tok_ok",
        requested_by="finance",
    )
    await platform.decide(Payout, payout)
    approval = PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="chief")
    await platform.handle(payout).execute_update("review", approval)
    return await ended(platform, payout)


async def swept(platform: Platform) -> str:
    """A sweep that starts a void."""
    await a_payment(platform)
    await platform.rows_changed(
        "UPDATE payments SET authorization_expires_at = now() - interval '1 hour'"
    )
    handle = await platform.client.start_workflow(
        "SweepAuthorizations", SweepInput(), id="sweep-recorded", task_queue=SAGA_TASK_QUEUE
    )
    await handle.result()
    return handle.id


STORIES: tuple[Story, ...] = (
    swept,
    authorized,
    captured_at_once,
    declined,
    lost_answer,
    compensated,
    parked_and_resolved,
    captured_in_part,
    refused_capture,
    voided,
    refunded,
    approved_payout,
)
"""The sweep comes first, while there is one payment to be swept."""


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


async def record(platform: Platform) -> None:
    """Run all stories, one after the other, and write their histories."""
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    HISTORIES.mkdir(exist_ok=True)
    for story in STORIES:
        workflow_id = await story(platform)
        platform.sandbox.clear_faults()
        history = await platform.client.get_workflow_handle(workflow_id).fetch_history()
        events = without_private(history.to_json_dict())
        path = HISTORIES / f"{story.__name__}.json"
        path.write_text(json.dumps(events, indent=1) + "\n", encoding="utf-8")


def without_private(value: object) -> object:
    """The same document without what names the machine that recorded it."""
    if isinstance(value, dict):
        return {k: without_private(v) for k, v in value.items() if k not in _PRIVATE}
    if isinstance(value, list):
        return [without_private(one) for one in value]
    # A sticky task queue is named for its worker's process and host.
    return re.sub(r"^\d+@.*", "worker", value) if isinstance(value, str) else value


async def main() -> None:
    """Start the parts, record, stop them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # A cluster is made by a user of its own, who cannot enter a private folder of ours.
        cluster = Path(tempfile.gettempdir()) / f"recompense-recording-{os.getpid()}"
        with (
            shared_server(cluster) as postgres,
            running_temporal(root) as temporal,
            running_sandbox(
                root / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=300
            ) as sandbox,
        ):
            await asyncio.to_thread(upgrade, postgres.url())
            async with running_platform(temporal, postgres.url(), sandbox) as platform:
                await record(platform)


if __name__ == "__main__":
    asyncio.run(main())
