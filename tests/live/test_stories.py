"""What can happen to a saga besides faults: cancels, payers, reviews, people's words."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    CaptureInput,
    PayoutReview,
    PayoutReviewDecision,
    RefundInput,
    Resolution,
    ResolveDecision,
    SweepInput,
    VoidInput,
)
from recompense.domain.ids import IdPrefix, new_id
from tests.support.books import assert_books_agree
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import (
    captured,
    eventually,
    has_effect,
    on,
    payout_input,
    review,
    state_is,
)
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment
from workflows.sweeps import SweepAuthorizations
from workflows.void import VoidAuthorization


async def test_required_action_is_told_and_completes_the_payment(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "requires_action"
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "succeed"}).raise_for_status()
    result = await platform.handle(authorize).result()
    assert result["resource"]["status"] == "authorized"
    await assert_books_agree(platform)


async def test_failed_action_declines_and_is_not_red(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, authorize)
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "fail"}).raise_for_status()
    result = await platform.handle(authorize).result()
    assert result["resource"]["status"] == "declined"
    await assert_books_agree(platform)


async def test_declined_automatic_capture_voids_and_declines(platform: Platform) -> None:
    authorize = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "decline", reference=authorize.payment_id)
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "declined"
    assert (await platform.handle(authorize).result())["resource"]["status"] == "declined"
    made = [effect["operation"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert made == ["authorize", "void"]
    await assert_books_agree(platform)


async def test_automatic_capture_that_stays_unavailable_fails_red(platform: Platform) -> None:
    authorize = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=authorize.payment_id)
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "failed"
    with pytest.raises(WorkflowFailureError) as failed:
        await platform.handle(authorize).result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "Compensated"
    made = [effect["operation"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert made == ["authorize", "void"]
    await assert_books_agree(platform)


async def test_unknown_undo_parks_and_is_carried_on(platform: Platform) -> None:
    """The compensation itself gets no answer: the saga waits for a person, and then ends
    compensated.
    """
    authorize = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=authorize.payment_id)
    decision = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    platform.sandbox.arm("void", "timeout_before", times=-1, reference=authorize.payment_id)
    await eventually(lambda: state_is(platform, authorize, "compensating"))
    platform.sandbox.arm("lookup", "timeout_before", times=-1, reference=authorize.payment_id)
    await eventually(lambda: state_is(platform, authorize, "parked"), 60)
    platform.sandbox.clear_faults()
    await platform.handle(authorize).execute_update(
        "resolve",
        Resolution(decision=ResolveDecision.RETRY, actor="ops", reason="the network is back"),
    )
    decided = await decision
    assert decided.resource.status == "failed"
    assert decided.resource.needs_attention is False
    await assert_books_agree(platform)


async def test_cancel_before_the_answer_takes_the_authorization_back_or_lets_it_stand(
    platform: Platform,
) -> None:
    authorize = authorize_input(capture_method="automatic")
    platform.sandbox.arm("authorize", "slow", reference=authorize.payment_id, delay_ms=1_500)
    decision = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await eventually(lambda: has_effect(platform, authorize, "authorize"))
    await platform.handle(authorize).cancel()
    decided = await decision
    assert decided.resource.status == "failed"
    assert decided.resource.failure.code == "canceled"
    with pytest.raises(WorkflowFailureError) as ended:
        await platform.handle(authorize).result()
    assert isinstance(ended.value.cause, CancelledError)
    made = [effect["operation"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert made == ["authorize", "void"]
    await assert_books_agree(platform)


async def test_cancel_while_the_payer_is_asked_takes_it_back(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    await platform.decide(AuthorizePayment, authorize)
    await platform.handle(authorize).cancel()
    with pytest.raises(WorkflowFailureError):
        await platform.handle(authorize).result()
    (payment,) = await platform.rows(
        "SELECT status, amount_held FROM payments WHERE id = :id", id=authorize.payment_id
    )
    assert (payment["status"], payment["amount_held"]) == ("failed", 0)


async def test_cancel_of_a_finished_step_leaves_it_standing(platform: Platform) -> None:
    """A capture is the pivot: a cancel that comes while it is on its way ends with the capture
    done.
    """
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), **on(authorize))
    platform.sandbox.arm("capture", "slow", reference=capture.capture_id, delay_ms=1_500)
    decision = asyncio.create_task(platform.decide(CapturePayment, capture))
    await eventually(lambda: has_effect(platform, capture, "capture"))
    await platform.handle(capture).cancel()
    assert (await decision).resource.status == "succeeded"
    assert (await platform.handle(capture).result())["ended"] == "captured"
    await assert_books_agree(platform)


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (PayoutReviewDecision.APPROVE, "paid"),
        (PayoutReviewDecision.REJECT, "rejected"),
        (PayoutReviewDecision.CANCEL, "canceled"),
    ],
)
async def test_payout_above_the_threshold_waits_for_a_second_person(
    platform: Platform, decision: PayoutReviewDecision, status: str
) -> None:
    await captured(platform)
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 500)"
    )
    payout = payout_input()
    decided = await platform.decide(Payout, payout)
    assert decided.resource.status == "awaiting_approval"
    own = await review(
        platform, payout, PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="finance")
    )
    assert own.refusal is not None
    assert own.refusal.code == "four_eyes"
    reviewed = await review(
        platform, payout, PayoutReview(decision=decision, actor="chief", reason="looked at it")
    )
    assert reviewed.payout is not None
    assert reviewed.payout.status == ("in_transit" if status == "paid" else status)
    await platform.handle(payout).result()
    (row,) = await platform.rows("SELECT status FROM payouts WHERE id = :id", id=payout.payout_id)
    assert row["status"] == status
    assert len(platform.sandbox.effects(payout.payout_id)) == (1 if status == "paid" else 0)
    await assert_books_agree(platform)


async def test_payout_on_its_way_can_be_canceled_at_the_provider(platform: Platform) -> None:
    await captured(platform)
    payout = payout_input()
    platform.sandbox.arm("payout", "pending", reference=payout.payout_id, delay_ms=20_000)
    decided = await platform.decide(Payout, payout)
    assert decided.resource.status == "in_transit"
    reviewed = await review(
        platform, payout, PayoutReview(decision=PayoutReviewDecision.CANCEL, actor="chief")
    )
    assert reviewed.payout is not None
    assert reviewed.payout.status == "canceled"
    (row,) = await platform.rows("SELECT * FROM payouts WHERE id = :id", id=payout.payout_id)
    assert (row["status"], row["hold_key"]) == ("canceled", None)


async def test_refusals_are_results_and_change_nothing(platform: Platform) -> None:
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=10_001, **on(authorize))
    too_much = await platform.decide(CapturePayment, capture)
    assert too_much.refusal.code == "amount_exceeds_capturable"
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), **on(authorize))
    nothing = await platform.decide(RefundPayment, refund)
    assert nothing.refusal.code == "amount_exceeds_refundable"
    payout = await platform.decide(Payout, payout_input(amount=999))
    assert payout.refusal.code == "insufficient_available_balance"
    void = VoidInput(number=1, **on(authorize))
    assert (await platform.decide(VoidAuthorization, void)).resource.status == "voided"
    again = await platform.decide(VoidAuthorization, VoidInput(number=2, **on(authorize)))
    assert again.refusal.code == "payment_not_voidable"
    assert len(await platform.rows("SELECT 1 FROM captures")) == 0
    assert len(await platform.rows("SELECT 1 FROM payouts")) == 0
    await assert_books_agree(platform)


async def test_expired_authorization_is_swept(platform: Platform) -> None:
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    await platform.rows_changed(
        "UPDATE payments SET authorization_expires_at = now() - interval '1 second'"
    )
    started = await platform.client.execute_workflow(
        SweepAuthorizations.run, SweepInput(), id=new_id(IdPrefix.EVENT), task_queue=SAGA_TASK_QUEUE
    )
    assert started == 1

    async def expired() -> bool:
        (row,) = await platform.rows("SELECT status FROM payments")
        return bool(row["status"] == "expired")

    await eventually(expired)
    await assert_books_agree(platform)


@pytest.mark.parametrize(
    ("decision", "status"),
    [(ResolveDecision.SUCCEEDED, "authorized"), (ResolveDecision.FAILED, "failed")],
)
async def test_parked_saga_takes_a_persons_word(
    platform: Platform, decision: ResolveDecision, status: str
) -> None:
    authorize = authorize_input()
    fault = "timeout_after" if decision is ResolveDecision.SUCCEEDED else "timeout_before"
    platform.sandbox.arm("*", fault, times=-1, reference=authorize.payment_id)
    waiting = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await eventually(lambda: state_is(platform, authorize, "parked"), 60)
    (payment,) = await platform.rows("SELECT status, needs_attention FROM payments")
    assert (payment["status"], payment["needs_attention"]) == ("processing", True)
    await platform.handle(authorize).execute_update(
        "resolve",
        Resolution(
            decision=decision, actor="ops", reason="looked it up", provider_reference="au_by_hand"
        ),
    )
    decided = await waiting
    assert decided.resource.status == status
    assert decided.resource.needs_attention is False
    (audit,) = await platform.rows("SELECT * FROM audit_log WHERE action LIKE 'resolve_%'")
    assert (audit["actor"], audit["reason"]) == ("ops", "looked it up")


async def test_resolve_of_a_saga_that_does_not_wait_is_refused(platform: Platform) -> None:
    authorize = authorize_input(token="tok_3ds")
    await platform.decide(AuthorizePayment, authorize)
    with pytest.raises(WorkflowUpdateFailedError):
        await platform.handle(authorize).execute_update(
            "resolve",
            Resolution(decision=ResolveDecision.FAILED, actor="ops", reason="a mistake"),
        )
    await platform.handle(authorize).terminate()


async def test_refused_undo_parks_and_is_tried_again_under_a_key_of_its_own(
    platform: Platform,
) -> None:
    """A provider that declines the void leaves the authorization standing: nobody may call it
    compensated.
    """
    authorize = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "decline", reference=authorize.payment_id)
    platform.sandbox.arm("void", "decline", reference=authorize.payment_id)
    waiting = asyncio.create_task(platform.decide(AuthorizePayment, authorize))
    await eventually(lambda: state_is(platform, authorize, "parked"), 60)
    await platform.handle(authorize).execute_update(
        "resolve",
        Resolution(decision=ResolveDecision.RETRY, actor="ops", reason="the provider is fixed"),
    )
    assert (await waiting).resource.status == "declined"
    made = [effect["effect_key"] for effect in platform.sandbox.effects(authorize.payment_id)]
    assert made == [
        f"{authorize.payment_id}:authorize:1",
        f"{authorize.payment_id}:authorize.undo.2:1",
    ]
    await assert_books_agree(platform)
