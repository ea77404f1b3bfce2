"""Effects that were given up as never made, and show up at the provider all the same: kept, or
undone, on a person's word, and never made again.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from recompense.contracts.sagas import (
    CaptureInput,
    RefundInput,
    Resolution,
    ResolveDecision,
    VoidInput,
)
from recompense.contracts.words import ORPHAN_QUESTION, AnySagaInput
from recompense.desk import SagaDesk
from recompense.domain.failures import Refused
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.balance_check import check
from recompense.persistence.ledger import merchant_balances
from recompense.persistence.verify import verify
from tests.live.test_reconciliation import balance, breaks, day, reconcile, settle
from tests.support.books import PAYMENTS_DISAGREE
from tests.support.platform import MERCHANT, Platform, authorize_input
from tests.support.scenes import captured, deliver, on, operation
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.refund import RefundPayment
from workflows.void import VoidAuthorization

__all__ = ["day"]

UI = "http://127.0.0.1:8233"


@pytest.fixture
def desk(platform: Platform) -> SagaDesk:
    return SagaDesk(platform.database, platform.client, ui_url=UI)


def word(decision: ResolveDecision) -> Resolution:
    return Resolution(decision=decision, actor="ops-anna", reason="looked at the provider")


async def given_up(platform: Platform, workflow: Any, saga: AnySagaInput, what: str) -> None:
    """The provider cannot be reached for as long as the saga asks."""
    platform.sandbox.arm(what, "unavailable", times=-1)
    await platform.decide(workflow, saga)
    platform.sandbox.clear_faults()
    assert (await operation(platform, saga))["attempt_state"] == "closed"


async def made_after_all(platform: Platform, saga: AnySagaInput, path: str, body: Any) -> str:
    """A request that had been lost on its way reaches the provider, which tells of it."""
    (row,) = await platform.rows(
        "SELECT effect_key FROM journal WHERE saga_id = :id", id=saga.ref().saga_id
    )
    answer = platform.sandbox.http.post(
        path, json=body, headers={"Idempotency-Key": row["effect_key"]}
    )
    answer.raise_for_status()
    return await deliver(platform, row["effect_key"], saga.ref().operation_id)


async def authorized(platform: Platform) -> tuple[Any, str]:
    """A payment, and the provider's reference of its authorization."""
    authorize = authorize_input()
    await platform.decide(AuthorizePayment, authorize)
    (row,) = await platform.rows("SELECT provider_reference FROM payments")
    return authorize, row["provider_reference"]


async def orphan(platform: Platform) -> Any:
    (row,) = await platform.rows("SELECT * FROM orphans")
    return row


async def payment(platform: Platform) -> Any:
    (row,) = await platform.rows("SELECT * FROM payments")
    return row


async def assert_ledger_agrees(platform: Platform) -> None:
    async with platform.database.engine.connect() as connection:
        report = await verify(connection)
    assert report.in_order, report.first_wrong
    assert await platform.rows(PAYMENTS_DISAGREE) == []


async def assert_balances_agree(platform: Platform, *, asked_about: int = 0) -> None:
    """Clearing is what the journal says; what a person is asked about is told beside it."""
    async with platform.database.transaction() as session:
        found = await check(session, ["sandbox"])
    assert found.differences == ()
    assert sum(one.amount for one in found.asked_about) == asked_about


async def captured_after_all(platform: Platform, *, final: bool) -> CaptureInput:
    """A capture of 40 that was given up, and that the provider has made after all."""
    pay, reference = await authorized(platform)
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=40, final=final, **on(pay))
    await given_up(platform, CapturePayment, capture, "capture")
    body = {"reference": capture.capture_id, "amount": 40, "currency": "EUR", "final": final}
    await made_after_all(platform, capture, f"/v1/authorizations/{reference}/captures", body)
    return capture


@pytest.mark.parametrize("final", [False, True])
async def test_capture_made_after_all_and_kept_is_taken_up_and_not_made_again(
    platform: Platform, desk: SagaDesk, final: bool
) -> None:
    capture = await captured_after_all(platform, final=final)
    assert ((await orphan(platform))["status"], (await orphan(platform))["reserved"]) == (
        "parked",
        40,
    )
    assert (await payment(platform))["needs_attention"]
    shown = await desk.show(capture.ref().saga_id)
    assert shown.question == ORPHAN_QUESTION
    await assert_balances_agree(platform, asked_about=40)
    kept = await desk.resolve(capture.ref().saga_id, word(ResolveDecision.SUCCEEDED))
    assert (kept.state.value, kept.attempt, kept.question) == ("done", 2, None)
    made = platform.sandbox.effects(capture.capture_id)
    assert [effect["operation"] for effect in made] == ["capture"]
    row = await payment(platform)
    assert (row["amount_captured"], row["amount_capture_reserved"]) == (40, 0)
    assert row["amount_voided"] == (row["amount"] - 40 if final else 0)
    assert not row["needs_attention"]
    assert (await orphan(platform))["status"] == "adopted"
    await assert_ledger_agrees(platform)
    await assert_balances_agree(platform)


async def test_capture_that_was_taken_up_is_settled_by_the_line_that_names_its_first_key(
    platform: Platform, desk: SagaDesk, day: date
) -> None:
    await platform.rows_changed("UPDATE merchants SET availability_rule = 'on_settlement'")
    pay, reference = await authorized(platform)
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **on(pay))
    await given_up(platform, CapturePayment, capture, "capture")
    body = {"reference": capture.capture_id, "amount": 4_000, "currency": "EUR", "final": False}
    await made_after_all(platform, capture, f"/v1/authorizations/{reference}/captures", body)
    settle(platform, day)
    assert (await reconcile(platform, day)).status == "breaks"
    await desk.resolve(capture.ref().saga_id, word(ResolveDecision.SUCCEEDED))
    assert (await reconcile(platform, day)).status == "clean"
    assert [one["status"] for one in await breaks(platform)] == ["resolved"]
    assert await balance(platform, "provider:sandbox:clearing") == 0
    assert await balance(platform, "bank:main:cash") == 3_960
    async with platform.database.transaction() as session:
        (euro,) = await merchant_balances(session, MERCHANT)
    assert (euro.pending, euro.available) == (0, 4_000)
    await assert_balances_agree(platform)


async def test_final_capture_made_after_all_and_undone_lets_the_hold_go(
    platform: Platform, desk: SagaDesk
) -> None:
    pay, reference = await authorized(platform)
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=40, final=True, **on(pay))
    await given_up(platform, CapturePayment, capture, "capture")
    body = {"reference": capture.capture_id, "amount": 40, "currency": "EUR", "final": True}
    await made_after_all(platform, capture, f"/v1/authorizations/{reference}/captures", body)
    with pytest.raises(Refused, match="keep it") as refused:
        await desk.resolve(capture.ref().saga_id, word(ResolveDecision.RETRY))
    assert refused.value.code == "nothing_to_retry"
    settled = await desk.resolve(capture.ref().saga_id, word(ResolveDecision.FAILED))
    assert (settled.state.value, settled.question) == ("failed", None)
    row = await payment(platform)
    assert (row["status"], row["amount_voided"]) == ("voided", row["amount"])
    assert (await orphan(platform))["status"] == "undone"
    (audit,) = await platform.rows("SELECT * FROM audit_log WHERE action = 'orphan_undone'")
    assert (audit["actor"], audit["reason"]) == ("ops-anna", "looked at the provider")
    await assert_ledger_agrees(platform)
    await assert_balances_agree(platform)


@pytest.mark.parametrize(
    ("decision", "stands"),
    [(ResolveDecision.SUCCEEDED, ("done", 2)), (ResolveDecision.FAILED, ("failed", 1))],
)
async def test_answer_about_an_orphan_counts_once(
    platform: Platform, desk: SagaDesk, decision: ResolveDecision, stands: tuple[str, int]
) -> None:
    capture = await captured_after_all(platform, final=False)
    saga_id = capture.ref().saga_id
    for _ in range(2):
        told = await desk.resolve(saga_id, word(decision), update_id="the-answer")
        assert (told.state.value, told.attempt) == stands
    with pytest.raises(Refused) as refused:
        await desk.resolve(saga_id, word(decision), update_id="another-answer")
    assert refused.value.code == "saga_not_parked"
    audited = await platform.rows("SELECT * FROM audit_log WHERE actor = 'ops-anna'")
    assert len(audited) == 1


async def test_void_made_after_all_is_followed_without_a_person(platform: Platform) -> None:
    pay, reference = await authorized(platform)
    void = VoidInput(number=1, **on(pay))
    await given_up(platform, VoidAuthorization, void, "void")
    body = {"reference": pay.payment_id}
    await made_after_all(platform, void, f"/v1/authorizations/{reference}/voids", body)
    row = await payment(platform)
    assert (row["status"], row["amount_voided"], row["needs_attention"]) == (
        "voided",
        row["amount"],
        False,
    )
    assert (await orphan(platform))["status"] == "adopted"
    await assert_ledger_agrees(platform)


async def test_refund_made_after_all_and_replayed_is_not_made_again(
    platform: Platform, desk: SagaDesk
) -> None:
    pay = await captured(platform)
    (row,) = await platform.rows("SELECT provider_reference FROM payments")
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), amount=30, **on(pay))
    await given_up(platform, RefundPayment, refund, "refund")
    body = {
        "reference": refund.refund_id,
        "amount": 30,
        "currency": "EUR",
        "target": row["provider_reference"],
    }
    await made_after_all(platform, refund, "/v1/refunds", body)
    await assert_balances_agree(platform, asked_about=-30)
    kept = await desk.resolve(refund.ref().saga_id, word(ResolveDecision.SUCCEEDED))
    assert kept.state.value == "done"
    assert len(platform.sandbox.effects(refund.refund_id)) == 1
    assert (await payment(platform))["amount_refunded"] == 30
    await assert_ledger_agrees(platform)
    await assert_balances_agree(platform)
