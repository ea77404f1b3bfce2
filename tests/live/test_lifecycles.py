"""The five lifecycles on real parts, without faults."""

from __future__ import annotations

from recompense.contracts.sagas import CaptureInput, PayoutInput, RefundInput, VoidInput
from recompense.domain.ids import IdPrefix, new_id
from tests.support.platform import MERCHANT, Platform, authorize_input
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.payout import Payout
from workflows.refund import RefundPayment
from workflows.void import VoidAuthorization


async def test_payment_is_authorized_captured_refunded_and_paid_out(platform: Platform) -> None:
    authorize = authorize_input()
    decided = await platform.decide(AuthorizePayment, authorize)
    assert decided.resource.status == "authorized"
    common = {
        "payment_id": authorize.payment_id,
        "merchant_id": MERCHANT,
        "requested_by": "backend",
    }
    capture = CaptureInput(capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **common)
    captured = await platform.decide(CapturePayment, capture)
    assert captured.resource.status == "succeeded"
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), amount=1_000, **common)
    refunded = await platform.decide(RefundPayment, refund)
    assert refunded.resource.status == "succeeded"
    void = VoidInput(number=1, **common)
    voided = await platform.decide(VoidAuthorization, void)
    assert voided.resource.amount_capturable == 0
    payout = PayoutInput(
        payout_id=new_id(IdPrefix.PAYOUT),
        merchant_id=MERCHANT,
        amount=3_000,
        currency="EUR",
        token="tok_ok",
        requested_by="finance",
    )
    sent = await platform.decide(Payout, payout)
    assert sent.resource.status == "in_transit"
    paid = await platform.handle(payout).result()
    assert paid["ended"] == "paid"
    effects = platform.sandbox.effects()
    assert [effect["operation"] for effect in effects] == [
        "authorize",
        "capture",
        "refund",
        "void",
        "payout",
    ]


async def test_automatic_capture_ends_captured(platform: Platform) -> None:
    decided = await platform.decide(AuthorizePayment, authorize_input(capture_method="automatic"))
    assert decided.resource.status == "captured"
