"""Malformed answers of Adyen: our failures, never another's, and never a guess."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from adapters.adyen.translate import (
    Asked,
    completion_outcome,
    modification_outcome,
    payment_outcome,
    transfer_outcome,
)
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import Outcome
from tests.support.hostile_bodies import LEAST, hold_against
from tests.unit.adapters.test_adyen_translate import ASKED, PAID, SENT, TAKEN

REFUSED = {**PAID, "resultCode": "Refused", "refusalReasonCode": "2"}
CHALLENGED = {
    **PAID,
    "resultCode": "RedirectShopper",
    "action": {"type": "redirect", "url": "https://acs.example/1", "method": "GET"},
}
INVALID = {"status": 422, "errorCode": "702", "errorType": "validation", "message": "?"}
REFUSED_TRANSFER = {**SENT, "status": "refused", "reason": "notEnoughBalance"}
Read = Callable[[ProviderAnswer, Asked], Outcome | None]
_OF_A_PAYMENT = {"resultCode", "merchantReference", "value", "currency", "amount"}


@pytest.mark.parametrize(
    ("read", "status", "good", "critical", "kind"),
    [
        (payment_outcome, 200, PAID, _OF_A_PAYMENT, "Approved"),
        (completion_outcome, 200, PAID, _OF_A_PAYMENT, "Approved"),
        (completion_outcome, 200, REFUSED, {"resultCode", "merchantReference"}, "Declined"),
        (completion_outcome, 422, INVALID, {"status", "errorType"}, "NoneType"),
        (payment_outcome, 200, REFUSED, {"resultCode", "merchantReference"}, "Declined"),
        (payment_outcome, 200, CHALLENGED, {"resultCode", "url", "action"}, "RequiresAction"),
        (payment_outcome, 422, INVALID, {"status", "errorType"}, "Declined"),
        (modification_outcome, 201, TAKEN, set(TAKEN) | {"value", "currency"}, "Pending"),
        (transfer_outcome, 202, SENT, {"id", "reference", "value", "currency"}, "Pending"),
        (transfer_outcome, 202, REFUSED_TRANSFER, {"status", "reference", "value"}, "Declined"),
    ],
)
def test_malformed_answer_is_never_a_guess(
    read: Read, status: int, good: object, critical: set[str], kind: str
) -> None:
    def told(body: bytes) -> object:
        return read(ProviderAnswer(status, httpx.Headers(), body), ASKED)

    body = json.dumps(good).encode()
    assert type(told(body)).__name__ == kind
    counted = hold_against(told, body, critical=critical, at_least=LEAST)
    assert counted.total() >= LEAST
    assert counted["OutcomeUnknown"] > 0
