"""Only what Adyen has signed is an event, item by item, and only its signed fields count."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.adyen.webhooks import key_bytes, verified_events
from recompense.contracts.provider import ProviderEvent, WebhookRefused
from tests.support.adyen.signing import (
    ACCOUNT,
    HMAC_KEY,
    TRANSFER_HMAC_KEY,
    Sent,
    item,
    signature,
    signed,
    standard,
    transfer,
)
from tests.support.hostile_bodies import LEAST, mutated

OLD_KEY = "11" * 32
REFERENCE = "cap_1/capture/1"
CAPTURE = item("CAPTURE", "PSP1", REFERENCE, original="PAYMENT1")


def verify(sent: Sent) -> tuple[ProviderEvent, ...]:
    return verified_events(
        sent.headers,
        sent.body,
        merchant_account=ACCOUNT,
        keys=[key_bytes(OLD_KEY), key_bytes(HMAC_KEY)],
        transfer_keys=[key_bytes(TRANSFER_HMAC_KEY)],
    )


def refusal(sent: Sent) -> str:
    with pytest.raises(WebhookRefused) as raised:
        verify(sent)
    return raised.value.code


def test_published_example_of_the_signature_holds() -> None:
    """Adyen's page on HMAC signatures: payload, key and the signature that comes out."""
    text = b"7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true"
    assert signature(text, HMAC_KEY) == "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
    example = item("AUTHORISATION", "7914073381342284", "TestPayment-1407325143704", (1_130, "EUR"))
    [event] = verify(standard(example))
    assert (event.event_type, event.effect_key) == ("AUTHORISATION", None)


def test_item_names_our_effect_and_adyens_object() -> None:
    [event] = verify(standard(CAPTURE))
    assert (event.operation_id, event.effect_key) == ("cap_1", "cap_1:capture:1")
    assert (event.object_reference, event.event_type) == ("PSP1", "CAPTURE")
    assert event.occurred_at is not None


def test_batch_is_an_event_for_each_item() -> None:
    other = item("REFUND", "PSP2", "ref_1/refund/1")
    assert [event.event_type for event in verify(standard(CAPTURE, other))] == ["CAPTURE", "REFUND"]


def test_one_forged_item_refuses_the_whole_batch() -> None:
    forged = item("REFUND", "PSP2", "ref_1/refund/1", key="22" * 32)
    assert refusal(standard(CAPTURE, forged)) == "webhook_signature_invalid"


@pytest.mark.parametrize("key", [HMAC_KEY, OLD_KEY])
def test_either_key_holds_while_one_is_rotated(key: str) -> None:
    assert verify(standard(item("CAPTURE", "PSP1", REFERENCE, key=key)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pspReference", "PSP9"),
        ("originalReference", "PAYMENT9"),
        ("merchantAccountCode", "Another"),
        ("merchantReference", "cap_9/capture/1"),
        ("amount", {"value": 1, "currency": "EUR"}),
        ("amount", {"value": 1_000, "currency": "USD"}),
        ("eventCode", "REFUND"),
        ("success", "false"),
    ],
)
def test_altered_field_is_refused(field: str, value: object) -> None:
    assert refusal(standard({**CAPTURE, field: value})) == "webhook_signature_invalid"


def test_unsigned_fields_change_neither_the_event_nor_its_id() -> None:
    """Whoever repeats a delivery can alter them: they may decide nothing."""
    [genuine] = verify(standard(CAPTURE))
    altered = {
        **CAPTURE,
        "eventDate": "2031-01-01T00:00:00Z",
        "reason": "Refused",
        "operations": [],
    }
    [repeated] = verify(standard(altered))
    assert repeated.event_id == genuine.event_id
    assert repeated.payload == genuine.payload


def test_success_and_failure_are_two_events() -> None:
    failed = item("CAPTURE", "PSP1", REFERENCE, success=False)
    ids = {verify(standard(one))[0].event_id for one in (CAPTURE, failed)}
    assert len(ids) == 2


def test_signature_cannot_be_moved_over_other_fields() -> None:
    """A colon in one field reads as two fields: what is signed so is never one of ours."""
    victim = item("CAPTURE", "PSP1", "x", merchantReference=f"x:{REFERENCE}")
    [event] = verify(standard(victim))
    assert event.effect_key is None
    moved = {**victim, "merchantAccountCode": f"{ACCOUNT}:x", "merchantReference": REFERENCE}
    [still] = verify(standard(moved))
    assert still.effect_key is None
    for field in ("pspReference", "originalReference"):
        assert refusal(standard({**victim, field: "PSP1:x"})).startswith("webhook_")


def test_escaped_form_of_older_libraries_holds_too() -> None:
    plain = {**item("CAPTURE", "PSP1", "a:b"), "additionalData": {}}
    text = b"PSP1::TestMerchant:a\\:b:1000:EUR:CAPTURE:true"
    mark = {"hmacSignature": signature(text, HMAC_KEY)}
    assert verify(standard({**plain, "additionalData": mark}))


def test_other_account_of_the_company_is_none_of_ours() -> None:
    other = item("CAPTURE", "PSP1", REFERENCE, merchantAccountCode="Another")
    [event] = verify(standard(other))
    assert (event.operation_id, event.effect_key) == (None, None)
    assert event.event_id != verify(standard(CAPTURE))[0].event_id


def test_unsigned_item_is_refused() -> None:
    assert refusal(standard({**CAPTURE, "additionalData": {}})) == "webhook_signature_missing"
    bare = {name: value for name, value in CAPTURE.items() if name != "additionalData"}
    assert refusal(standard(bare)) == "webhook_signature_missing"


@pytest.mark.parametrize("mark", ["", "x", "é" * 44, "A" * 44, "A" * 100_000])
def test_strange_signature_is_refused(mark: str) -> None:
    strange = {**CAPTURE, "additionalData": {"hmacSignature": mark}}
    assert refusal(standard(strange)) == "webhook_signature_invalid"
    sent = transfer("TR1", "po_1/payout/1", "booked")
    headers = {**sent.headers, "hmacsignature": mark}
    assert refusal(Sent(headers, sent.body)) == "webhook_signature_invalid"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "webhook_malformed"),
        (b"{}", "webhook_malformed"),
        (b'{"live": "false", "notificationItems": []}', "webhook_malformed"),
        (b"\xff\xfe", "webhook_malformed"),
        (b"x" * 300_000, "webhook_too_large"),
    ],
)
def test_what_is_no_delivery_is_refused(body: bytes, code: str) -> None:
    assert refusal(Sent({}, body)) == code


def test_too_many_items_are_refused() -> None:
    assert refusal(standard(*[CAPTURE] * 101)) == "webhook_malformed"


def test_transfer_is_signed_as_a_whole() -> None:
    sent = transfer("TR1", "po_1/payout/1", "booked")
    [event] = verify(sent)
    assert (event.operation_id, event.effect_key) == ("po_1", "po_1:payout:1")
    assert event.event_id == "transfer.TR1.booked"
    altered = sent.body.replace(b"booked", b"failed")
    assert refusal(Sent(sent.headers, altered)) == "webhook_signature_invalid"
    assert refusal(transfer("TR1", "po_1/payout/1", "booked", key=HMAC_KEY)).endswith("_invalid")


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "balancePlatform.report.created", "data": {}}',
        b'{"type": "balancePlatform.transfer.updated", "data": {"id": "TR1"}}',
    ],
)
def test_signed_delivery_about_nothing_of_ours_is_kept_and_names_nothing(body: bytes) -> None:
    [event] = verify(transfer("", "", "", body=body))
    assert (event.operation_id, event.effect_key, event.object_reference) == (None, None, None)


def _resigned(body: bytes) -> Sent:
    """The body with each item signed again, as far as it still has one."""
    try:
        tree = json.loads(body)
        for wrapped in tree["notificationItems"]:
            one = {**wrapped["NotificationRequestItem"]}
            one["additionalData"] = {}
            wrapped["NotificationRequestItem"] = signed(one)
        return Sent({}, json.dumps(tree).encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Sent({}, body)


@pytest.mark.parametrize("sent_again", [lambda body: Sent({}, body), _resigned])
def test_mutated_notifications_are_refused_or_say_what_is_signed(
    sent_again: Callable[[bytes], Sent],
) -> None:
    genuine = standard(CAPTURE)
    [said] = verify(genuine)
    tried = taken = 0
    for body in mutated(genuine.body, 11, at_least=LEAST):
        tried += 1
        try:
            events = verify(sent_again(body.content))
        except WebhookRefused:
            continue
        taken += 1
        for event in events:
            assert event.payload, body.name
            if sent_again is not _resigned:
                assert event.payload == said.payload, body.name
                assert event.event_id == said.event_id, body.name
    assert tried >= LEAST
    assert taken > 0


def test_mutated_transfers_that_are_signed_are_refused_or_events() -> None:
    genuine = transfer("TR1", "po_1/payout/1", "booked")
    taken: list[Any] = []
    for body in mutated(genuine.body, 12, at_least=LEAST):
        try:
            taken += verify(transfer("", "", "", body=body.content))
        except WebhookRefused:
            continue
    assert taken
