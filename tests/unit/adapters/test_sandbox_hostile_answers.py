"""Malformed answers of the sandbox: our failures, never another's, and never a guess."""

from __future__ import annotations

import json
from collections import Counter

import httpx
import pytest

from adapters.sandbox.translate import Asked, found_in, outcome_of
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import ProviderOperation
from tests.support.hostile_bodies import LEAST, hold_against

ASKED = Asked(ProviderOperation.AUTHORIZE, "pay_1", "pay_1:authorize:1", 1_000, "EUR", 30)
MADE = {
    "id": "au_1",
    "object": "authorization",
    "reference": "pay_1",
    "idempotency_key": "pay_1:authorize:1",
    "amount": 1_000,
    "currency": "EUR",
    "status": "authorized",
    "expires_at": "2026-12-01T12:00:00Z",
}
DECLINED = {**MADE, "status": "declined", "decline": {"code": "insufficient_funds"}}
REFUSAL = {"error": {"code": "not_capturable", "message": "It is not."}}
CRITICAL = {"object", "reference", "idempotency_key", "amount", "currency", "status"}


@pytest.mark.parametrize(
    ("status", "good", "critical", "final"),
    [
        (201, MADE, CRITICAL, "Approved"),
        (402, DECLINED, CRITICAL, "Declined"),
        (409, REFUSAL, {"error", "code"}, "Declined"),
    ],
)
def test_malformed_answer_is_never_a_guess(
    status: int, good: object, critical: set[str], final: str
) -> None:
    def read(body: bytes) -> object:
        return outcome_of(ProviderAnswer(status, httpx.Headers(), body), ASKED)

    body = json.dumps(good).encode()
    assert type(read(body)).__name__ == final
    told = hold_against(read, body, critical=critical, at_least=LEAST)
    assert told.total() >= LEAST
    assert told["OutcomeUnknown"] > 0


def test_malformed_lookup_is_never_a_guess_and_never_absent() -> None:
    def read(body: bytes) -> object:
        return found_in(ProviderAnswer(200, httpx.Headers(), body), ASKED)

    told: Counter[str] = hold_against(
        read, json.dumps({"data": [MADE]}).encode(), critical=CRITICAL, at_least=LEAST
    )
    # The list that was made empty says so; nothing else does.
    assert told["Absent"] <= 2
    assert told["OutcomeUnknown"] > 0
