"""Malformed answers of Stripe: our failures, never another's, and never a guess."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest

from adapters.stripe.report import report_end, report_head, settlement_lines
from adapters.stripe.translate import found_object, outcome_of, read_page, the_one_of
from adapters.stripe.webhooks import verified_event
from recompense.contracts.provider import Absent, Found, ProviderOperation
from recompense.contracts.settlement import ReportRefused
from tests.support.hostile_bodies import LEAST, hold_against, mutated
from tests.support.stripe_bodies import (
    OPERATION_IDS,
    answer,
    asked,
    charge,
    error,
    intent,
    made_by,
    transfer,
)

AUTHORIZE = ProviderOperation.AUTHORIZE
IDENTITY = {"object", "currency", "status", "metadata", "effect_key"}
CRITICAL = {
    AUTHORIZE: IDENTITY | {"amount", "operation_id"},
    ProviderOperation.CAPTURE: IDENTITY | {"amount_received", "cap_1"},
    ProviderOperation.VOID: IDENTITY | {"void:1"},
    ProviderOperation.REFUND: IDENTITY | {"amount", "operation_id"},
    ProviderOperation.CREATE_PAYOUT: IDENTITY | {"amount", "operation_id"},
    ProviderOperation.CANCEL_PAYOUT: IDENTITY | {"amount", "cancel_payout:1"},
}
CARD_ERROR = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}


@pytest.mark.parametrize("operation", sorted(OPERATION_IDS))
def test_malformed_object_is_never_a_guess(operation: ProviderOperation) -> None:
    good = json.dumps(made_by(operation)).encode()
    told = hold_against(
        lambda body: outcome_of(answer(200, body), asked(operation)),
        good,
        critical=CRITICAL[operation],
        at_least=LEAST,
    )
    assert told.total() >= LEAST
    assert told["OutcomeUnknown"] > 0
    assert told["ProviderAnswerMismatch"] > 0


def test_malformed_transfer_is_never_a_guess() -> None:
    told = hold_against(
        lambda body: outcome_of(answer(200, body), asked(ProviderOperation.CREATE_PAYOUT)),
        json.dumps(transfer()).encode(),
        critical=CRITICAL[ProviderOperation.CREATE_PAYOUT] - {"status"},
    )
    assert told.total() >= LEAST


def test_malformed_canceled_payment_is_never_a_guess() -> None:
    body = intent(status="canceled", latest_charge=charge())
    told = hold_against(
        lambda raw: outcome_of(answer(200, raw), asked()),
        json.dumps(body).encode(),
        critical=CRITICAL[AUTHORIZE] - {"status"},
    )
    assert told.total() >= LEAST


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, error(**CARD_ERROR, payment_intent=intent(status="requires_payment_method"))),
        (400, error(type="invalid_request_error", code="amount_too_small")),
        (404, error(type="invalid_request_error", code="resource_missing")),
    ],
)
def test_malformed_refusal_is_never_a_decline(status: int, body: dict[str, Any]) -> None:
    told = hold_against(
        lambda raw: outcome_of(answer(status, raw), asked()),
        json.dumps(body).encode(),
        critical={"error", "type", "metadata", "effect_key", "operation_id", "amount", "currency"},
    )
    assert told.total() >= LEAST
    assert told["Approved"] == 0


def test_malformed_page_is_never_a_guess_and_seldom_empty() -> None:
    def read(body: bytes) -> object:
        raw = the_one_of(read_page(answer(200, body), asked()), asked())
        return Found(answer=Absent()) if raw is None else found_object(raw, asked())

    page = {"object": "list", "data": [intent()], "has_more": False, "url": "/v1/payment_intents"}
    told: Counter[str] = hold_against(
        read, json.dumps(page).encode(), critical=CRITICAL[AUTHORIZE] - {"object"}
    )
    assert told["OutcomeUnknown"] > 0
    # A list that was made empty, and one whose only object is another's.
    assert told["Absent"] < told["OutcomeUnknown"]


def test_malformed_event_is_refused_or_about_nothing_of_ours() -> None:
    secret, now = b"whsec", datetime(2026, 11, 24, tzinfo=UTC)
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "payout.paid",
        "created": 1_790_000_000,
        "data": {"object": made_by(ProviderOperation.CREATE_PAYOUT)},
    }

    def read(body: bytes) -> object:
        moment = int(now.timestamp())
        mark = hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={moment},v1={mark}"}
        return verified_event(headers, body, secrets=[secret], tolerance_seconds=300, now=now)

    told = hold_against(read, json.dumps(event).encode(), critical=())
    assert told["WebhookRefused"] > LEAST // 4
    assert set(told) == {"WebhookRefused", "ProviderEvent"}


def test_malformed_report_line_is_refused_or_adds_up() -> None:
    day = date(2026, 11, 24)
    line = {
        "id": "txn_1",
        "object": "balance_transaction",
        "amount": -1_000,
        "fee": 0,
        "net": -1_000,
        "currency": "eur",
        "created": int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()),
        "type": "refund",
        "reporting_category": "refund",
        "source": {"id": "re_1", "object": "refund", "metadata": {"effect_key": "ref_1:refund:1"}},
    }
    refused = 0
    for body in mutated(json.dumps(line).encode(), seed=7, at_least=LEAST):
        try:
            lines = list(
                settlement_lines([report_head(day), body.content, b"\n", report_end(1)], day)
            )
        except ReportRefused:
            refused += 1
            continue
        assert [one.net for one in lines] == [-one.amount - one.fee for one in lines]
        assert body.touched not in ("amount", "fee", "net")
    assert refused > LEAST // 3
