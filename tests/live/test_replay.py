"""Replays on real parts: whatever state a saga was left in, it is carried to its end, and money
moves once for each attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    Resolution,
    ResolveDecision,
)
from recompense.contracts.words import AnySagaInput
from recompense.desk import SagaDesk, SagaDetail, UnknownSaga
from recompense.desk.models import ShownState, StepState
from recompense.desk.replay import ReplayAction, ReplayReport, replay
from recompense.domain.failures import Refused
from recompense.domain.ids import IdPrefix, new_id
from tests.support.books import assert_books_agree
from tests.support.platform import MERCHANT, Platform, authorize_input
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout

UI = "http://127.0.0.1:8233"
WAIT_SECONDS = 60


@pytest.fixture
def desk(platform: Platform) -> SagaDesk:
    return SagaDesk(platform.database, platform.client, ui_url=UI)


async def replayed(
    platform: Platform, saga: AnySagaInput, *, dry_run: bool = False
) -> ReplayReport:
    return await replay(
        platform.client,
        platform.database,
        saga.ref().saga_id,
        actor="ops-anna",
        reason="the provider is back",
        dry_run=dry_run,
    )


async def in_state(desk: SagaDesk, saga: AnySagaInput, *states: ShownState) -> SagaDetail:
    """The saga once it has come to one of these states."""

    async def poll() -> SagaDetail:
        while True:
            try:
                shown = await desk.show(saga.ref().saga_id)
            except UnknownSaga:
                await asyncio.sleep(0.1)
                continue
            if shown.state in states:
                return shown
            await asyncio.sleep(0.1)

    return await asyncio.wait_for(poll(), WAIT_SECONDS)


async def captured(platform: Platform) -> CaptureInput:
    """A capture that is ready to be started, of an authorized payment."""
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    return CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE),
        payment_id=authorize.payment_id,
        merchant_id=MERCHANT,
        requested_by="backend",
    )


async def compensated_capture(platform: Platform) -> CaptureInput:
    capture = await captured(platform)
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=capture.capture_id)
    decided = await asyncio.wait_for(platform.decide(CapturePayment, capture), WAIT_SECONDS)
    assert decided.resource.status == "failed"
    with pytest.raises(WorkflowFailureError):
        await platform.handle(capture).result()
    platform.sandbox.clear_faults()
    return capture


def effect_keys(platform: Platform, saga: AnySagaInput) -> list[str]:
    return [e["effect_key"] for e in platform.sandbox.effects(saga.ref().operation_id)]


async def test_failed_and_compensated_saga_is_paid_afresh_under_its_next_attempt(
    platform: Platform, desk: SagaDesk
) -> None:
    capture = await compensated_capture(platform)
    failed = await desk.show(capture.ref().saga_id)
    assert failed.state is ShownState.FAILED
    admit, call = failed.steps
    assert (admit.state, admit.compensation) == (StepState.COMPENSATED, "release: done")
    assert (call.state, call.outcome) == (StepState.NOT_MADE, "absent")

    told = await replayed(platform, capture, dry_run=True)
    assert (told.action, told.attempt, told.to_run) == (ReplayAction.RESET, 2, None)
    assert [effect.effect_key for effect in told.would_make] == [f"{capture.capture_id}:capture:2"]
    assert [effect.outcome for effect in told.stands] == ["absent"]
    assert await desk.show(capture.ref().saga_id) == failed

    done = await replayed(platform, capture)
    assert done.to_run is not None
    shown = await desk.after_replay(capture.ref().saga_id, done.to_run, WAIT_SECONDS)
    assert (shown.state, shown.attempt) == (ShownState.DONE, 2)
    assert effect_keys(platform, capture) == [f"{capture.capture_id}:capture:2"]
    story = await desk.story(capture.ref().saga_id)
    assert [entry.action for entry in story.audit] == ["saga_replay"]
    assert [run.attempt for run in story.runs] == [1, 2]
    await assert_books_agree(platform)


async def test_replay_of_a_finished_saga_changes_nothing(
    platform: Platform, desk: SagaDesk
) -> None:
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    await platform.handle(authorize).result()
    before = await desk.story(authorize.ref().saga_id)
    report = await replayed(platform, authorize)
    assert (report.action, report.changed) == (ReplayAction.NOTHING, False)
    assert [effect.outcome for effect in report.stands] == ["approved"]
    assert await desk.story(authorize.ref().saga_id) == before


async def parked(platform: Platform, desk: SagaDesk) -> AuthorizeInput:
    authorize = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=authorize.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    shown = await in_state(desk, authorize, ShownState.PARKED)
    assert shown.question is not None
    asked.cancel()
    await asyncio.wait({asked})
    platform.sandbox.clear_faults()
    return authorize


@pytest.mark.parametrize(
    ("decision", "state", "outcome"),
    [
        (ResolveDecision.RETRY, ShownState.DONE, "approved"),
        (ResolveDecision.SUCCEEDED, ShownState.DONE, "approved"),
        (ResolveDecision.FAILED, ShownState.FAILED, "absent"),
    ],
)
async def test_parked_saga_is_resolved_and_not_replayed(
    platform: Platform,
    desk: SagaDesk,
    decision: ResolveDecision,
    state: ShownState,
    outcome: str,
) -> None:
    authorize = await parked(platform, desk)
    with pytest.raises(Refused, match="resolve") as refused:
        await replayed(platform, authorize)
    assert refused.value.code == "saga_is_parked"
    reference = None
    if decision is ResolveDecision.SUCCEEDED:
        reference = "psp_told_by_phone"
    resolution = Resolution(
        decision=decision, actor="ops-anna", reason="asked them", provider_reference=reference
    )
    await desk.resolve(authorize.ref().saga_id, resolution)
    shown = await in_state(desk, authorize, state)
    assert shown.steps[1].outcome == outcome
    assert len(effect_keys(platform, authorize)) == 1
    story = await desk.story(authorize.ref().saga_id)
    assert [(entry.actor, entry.action) for entry in story.audit] == [
        ("ops-anna", f"resolve_{decision.value}")
    ]
    with pytest.raises(Refused) as again:
        await desk.resolve(authorize.ref().saga_id, resolution)
    assert again.value.code == "saga_not_parked"


async def terminated_while_unknown(platform: Platform, desk: SagaDesk) -> AuthorizeInput:
    """An authorization whose answer was lost, and whose run is terminated before anybody knows."""
    authorize = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=authorize.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await in_state(desk, authorize, ShownState.RUNNING)
    while not effect_keys(platform, authorize):
        await asyncio.sleep(0.1)
    await platform.handle(authorize).terminate("by mistake")
    await asyncio.wait({asked})
    assert asked.exception() is not None
    platform.sandbox.clear_faults()
    return authorize


async def test_terminated_saga_is_listed_as_failed_and_carried_on(
    platform: Platform, desk: SagaDesk
) -> None:
    authorize = await terminated_while_unknown(platform, desk)
    saga_id = authorize.ref().saga_id

    async def is_listed() -> None:
        while saga_id not in [r.workflow_id for r in (await desk.page(ShownState.FAILED)).data]:
            await asyncio.sleep(0.2)

    await asyncio.wait_for(is_listed(), WAIT_SECONDS)
    running = await desk.page(ShownState.RUNNING)
    assert saga_id not in [row.workflow_id for row in running.data]
    shown = await desk.show(saga_id)
    assert shown.failure is not None
    assert shown.failure.code == "run_terminated"

    told = await replayed(platform, authorize, dry_run=True)
    assert (told.action, told.attempt) == (ReplayAction.RESET, 1)
    assert [effect.step for effect in told.would_look_up] == ["authorize"]
    assert (told.would_make, told.stands) == ((), ())

    done = await replayed(platform, authorize)
    assert done.to_run is not None
    shown = await desk.after_replay(saga_id, done.to_run, WAIT_SECONDS)
    assert (shown.state, shown.attempt) == (ShownState.DONE, 1)
    assert effect_keys(platform, authorize) == [f"{authorize.payment_id}:authorize:1"]
    await assert_books_agree(platform)


async def test_compensation_at_the_provider_is_shown_and_the_next_attempt_pays(
    platform: Platform, desk: SagaDesk
) -> None:
    payment = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=payment.payment_id)
    decided = await asyncio.wait_for(platform.decide(AuthorizePayment, payment), WAIT_SECONDS)
    assert decided.resource.status == "failed"
    platform.sandbox.clear_faults()
    failed = await in_state(desk, payment, ShownState.FAILED)
    assert [(step.name, step.state.value, step.compensation) for step in failed.steps] == [
        ("admit", "compensated", "release: done"),
        ("authorize", "compensated", "void: done"),
        ("capture", "not_made", None),
    ]

    done = await replayed(platform, payment)
    assert [effect.step for effect in done.would_make] == ["authorize", "capture"]
    assert done.to_run is not None
    shown = await desk.after_replay(payment.ref().saga_id, done.to_run, WAIT_SECONDS)
    assert (shown.state, shown.attempt) == (ShownState.DONE, 2)
    assert effect_keys(platform, payment) == [
        f"{payment.payment_id}:{step}"
        for step in ("authorize:1", "authorize.undo:1", "authorize:2", "capture:2")
    ]
    await assert_books_agree(platform)


async def test_two_replays_at_once_pay_once(platform: Platform, desk: SagaDesk) -> None:
    capture = await compensated_capture(platform)
    both = await asyncio.gather(
        replayed(platform, capture), replayed(platform, capture), return_exceptions=True
    )
    refused = [one for one in both if isinstance(one, BaseException)]
    assert all(isinstance(one, Refused) for one in refused), refused
    assert len(refused) < 2
    await in_state(desk, capture, ShownState.DONE)
    assert effect_keys(platform, capture) == [f"{capture.capture_id}:capture:2"]
    await assert_books_agree(platform)


async def test_approval_is_not_asked_again_when_a_terminated_payout_is_carried_on(
    platform: Platform, desk: SagaDesk
) -> None:
    await platform.decide(CapturePayment, await captured(platform))
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    payout = PayoutInput(
        payout_id=new_id(IdPrefix.PAYOUT),
        merchant_id=MERCHANT,
        amount=1_000,
        currency="EUR",
        token="tok_ok",
        requested_by="finance",
    )
    platform.sandbox.arm("payout", "pending", reference=payout.payout_id, delay_ms=3_000)
    await platform.decide(Payout, payout)
    approval = PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="chief")
    await platform.handle(payout).execute_update("review", approval)
    await platform.handle(payout).terminate("by mistake")

    done = await replayed(platform, payout)
    assert (done.action, done.attempt) == (ReplayAction.RESET, 1)
    shown = await in_state(desk, payout, ShownState.DONE)
    assert shown.steps[1].outcome == "approved"
    assert effect_keys(platform, payout) == [f"{payout.payout_id}:payout:1"]
    await assert_books_agree(platform)


async def test_saga_under_way_is_not_replayed(platform: Platform, desk: SagaDesk) -> None:
    authorize = authorize_input()
    platform.sandbox.arm("authorize", "slow", reference=authorize.payment_id, delay_ms=1500)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await in_state(desk, authorize, ShownState.RUNNING)
    with pytest.raises(Refused) as refused:
        await replayed(platform, authorize)
    assert refused.value.code == "saga_is_running"
    decided = await asked
    assert decided.resource.status == "authorized"


Make = Callable[[Platform, SagaDesk], Awaitable[tuple[AnySagaInput, int]]]


async def a_compensated_one(platform: Platform, _desk: SagaDesk) -> tuple[AnySagaInput, int]:
    return await compensated_capture(platform), 2


async def an_open_one(platform: Platform, desk: SagaDesk) -> tuple[AnySagaInput, int]:
    return await terminated_while_unknown(platform, desk), 1


@pytest.mark.parametrize("make", [a_compensated_one, an_open_one])
async def test_saga_without_history_gets_a_fresh_run_from_its_stored_input(
    platform: Platform, desk: SagaDesk, make: Make
) -> None:
    saga, attempt = await make(platform, desk)
    await forget(platform, saga)
    told = await replayed(platform, saga, dry_run=True)
    assert (told.action, told.attempt) == (ReplayAction.FRESH_RUN, attempt)
    done = await replayed(platform, saga)
    assert done.to_run is not None
    shown = await desk.after_replay(saga.ref().saga_id, done.to_run, WAIT_SECONDS)
    assert (shown.state, shown.attempt) == (ShownState.DONE, attempt)
    assert shown.run_id == done.to_run
    assert len(effect_keys(platform, saga)) == 1
    await assert_books_agree(platform)


async def forget(platform: Platform, saga: AnySagaInput) -> None:
    """Drop a workflow from Temporal, as its retention does."""
    handle = platform.handle(saga)
    await platform.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=platform.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
        )
    )

    async def gone() -> None:
        while True:
            try:
                await handle.describe()
            except RPCError:
                return
            await asyncio.sleep(0.1)

    await asyncio.wait_for(gone(), WAIT_SECONDS)


async def test_pages_hold_every_saga_once_newest_first(platform: Platform, desk: SagaDesk) -> None:
    sagas = [authorize_input() for _ in range(5)]
    for saga in sagas:
        await platform.decide(AuthorizePayment, saga)
    listed: list[Any] = []
    cursor: str | None = None
    while True:
        page = await desk.page(ShownState.DONE, limit=2, cursor=cursor)
        listed += [row.operation_id for row in page.data]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert listed == [saga.payment_id for saga in reversed(sagas)]
    with pytest.raises(UnknownSaga):
        await desk.page(cursor="authorize/pay_nobody")
