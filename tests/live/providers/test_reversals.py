"""What a provider takes back after it was booked: a person is asked, once, and the books stay."""

from __future__ import annotations

import pytest

from recompense.contracts.provider import ProviderOperation
from tests.conformance.cases import needs
from tests.live.providers.test_stories import captured
from tests.live.providers.world import Stage

CAPTURE = ProviderOperation.CAPTURE
REFUND = ProviderOperation.REFUND

ASKED = """
SELECT o.saga_id, o.step, o.outcome->>'kind' FROM orphans o JOIN operations p USING (saga_id)
WHERE p.payment_id = %s AND o.status = 'parked'
"""
AUDITED = "SELECT count(*) FROM audit_log WHERE action = 'effect_reversed' AND target = %s"


@needs(CAPTURE, REFUND, "scripts:reversal")
@pytest.mark.parametrize("operation", [CAPTURE, REFUND])
def test_effect_that_is_taken_back_later_asks_a_person_once(
    stage: Stage, operation: ProviderOperation
) -> None:
    payment = captured(stage)
    path = f"/v1/payments/{payment['id']}/{operation.value}s"
    if operation is REFUND:
        made = stage.made(path, {"amount": 4_000})
    else:
        [made] = stage.api.get(path).json()["data"]
    assert made["status"] == "succeeded"
    for _ in range(2):
        stage.target.arm(operation, "reversal", reference=made["id"])
    shown = stage.until(payment, lambda one: one["needs_attention"])
    saga = f"{operation.value}/{made['id']}"
    assert stage.rows(ASKED, payment["id"]) == [(saga, operation.value, "declined")]
    assert stage.rows(AUDITED, saga) == [(1,)]
    assert shown["amount_captured"] == 10_000
    assert shown["amount_refunded"] == (4_000 if operation is REFUND else 0)
