"""Webhook verification refuses by its own failure, whatever arrives."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.stripe.webhooks import verified_event
from recompense.contracts.provider import ProviderEvent, ProviderOperation, WebhookRefused
from tests.support.stripe_bodies import made_by

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TIMESTAMP = int(NOW.timestamp())
SECRET = b"whsec_present"
OLD_SECRET = b"whsec_before"
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payout.paid",
    "created": 1_790_000_000,
    "data": {"object": made_by(ProviderOperation.CREATE_PAYOUT)},
}
BODY = json.dumps(EVENT).encode()


def signature(body: bytes, secret: bytes = SECRET, timestamp: int = TIMESTAMP) -> str:
    return hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes, secret: bytes = SECRET, timestamp: int = TIMESTAMP) -> dict[str, str]:
    mark = signature(body, secret, timestamp)
    return {"Stripe-Signature": f"t={timestamp},v1={mark},v0={'0' * 64}"}


def verify(headers: dict[str, str], body: bytes) -> ProviderEvent:
    return verified_event(
        headers, body, secrets=[SECRET, OLD_SECRET], tolerance_seconds=300, now=NOW
    )


def refusal(headers: dict[str, str], body: bytes) -> str:
    with pytest.raises(WebhookRefused) as raised:
        verify(headers, body)
    return raised.value.code


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_event_signed_with_a_live_secret_is_read(secret: bytes) -> None:
    event = verify(signed(BODY, secret), BODY)
    assert (event.provider, event.event_id, event.event_type) == ("stripe", "evt_1", "payout.paid")
    assert (event.object_reference, event.operation_id) == ("po_1", "po_1")
    assert event.effect_key == "po_1:create_payout:1"
    assert event.payload["object"] == {
        "id": "po_1",
        "object": "payout",
        "status": "paid",
        "amount": 1_000,
        "currency": "eur",
    }


def test_one_holding_signature_among_several_is_enough() -> None:
    header = f"t={TIMESTAMP},v1={'0' * 64},v1={signature(BODY)}"
    assert verify({"stripe-signature": header}, BODY).event_id == "evt_1"


@pytest.mark.parametrize("seconds", [-301, 301, -10_000_000, 10_000_000])
def test_signature_from_too_long_ago_or_ahead_is_stale(seconds: int) -> None:
    assert refusal(signed(BODY, timestamp=TIMESTAMP + seconds), BODY) == "webhook_stale"


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_signature_within_the_tolerance_on_either_side_holds(seconds: int) -> None:
    assert verify(signed(BODY, timestamp=TIMESTAMP + seconds), BODY).event_id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1=" + signature(BODY),
        f"t={TIMESTAMP}",
        f"t={TIMESTAMP},v0={signature(BODY)}",
        f"t={TIMESTAMP},t={TIMESTAMP},v1={signature(BODY)}",
        f"t={TIMESTAMP},v1={signature(BODY).upper()}",
        f"t={TIMESTAMP}.0,v1={signature(BODY)}",
        f"t=\u0661{TIMESTAMP},v1={signature(BODY)}",
        f"t={TIMESTAMP},v1={signature(BODY, b'another')}",
        f"t={TIMESTAMP + 1},v1={signature(BODY)}",
    ],
)
def test_signature_that_does_not_hold_is_refused(header: str) -> None:
    assert refusal({"stripe-signature": header}, BODY) == "webhook_signature_invalid"


def test_delivery_without_signature_changed_or_too_large_is_refused() -> None:
    assert refusal({}, BODY) == "webhook_signature_missing"
    assert refusal(signed(BODY), BODY + b" ") == "webhook_signature_invalid"
    assert refusal(signed(b" " * 300_000), b" " * 300_000) == "webhook_too_large"


def test_event_about_an_object_of_another_kind_is_kept_without_our_names() -> None:
    about: dict[str, Any] = {"object": "balance", "amount": {"eur": 1}, "metadata": None}
    body = json.dumps({**EVENT, "type": "balance.available", "data": {"object": about}}).encode()
    event = verify(signed(body), body)
    assert (event.object_reference, event.operation_id, event.effect_key) == (None, None, None)


def test_names_in_metadata_that_cannot_be_ours_are_left_out() -> None:
    about = {**EVENT["data"]["object"], "metadata": {"operation_id": "a b", "effect_key": "\x00"}}
    body = json.dumps({**EVENT, "data": {"object": about}}).encode()
    event = verify(signed(body), body)
    assert (event.operation_id, event.effect_key) == (None, None)


@given(st.binary(max_size=300))
def test_any_signed_bytes_are_refused_by_our_failure(body: bytes) -> None:
    assert refusal(signed(body), body) == "webhook_malformed"


@given(st.text(max_size=200))
def test_any_header_is_refused_by_our_failure(header: str) -> None:
    assert refusal({"stripe-signature": header}, BODY) == "webhook_signature_invalid"
