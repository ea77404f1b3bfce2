"""Inbound webhooks of every vendor that sends them: only what verifies is believed, and that only
as a hint to pull.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from recompense.contracts.provider import ProviderEvent, WebhookRefused
from tests.conformance.cases import WEBHOOKS, needs
from tests.conformance.support import Bench
from tests.conformance.targets import Delivery
from tests.support.hostile_bodies import mutated

pytestmark = needs(WEBHOOKS)
REFERENCE = "po_webhook"
AGES = [timedelta(days=-1), timedelta(days=1)]


def delivery(bench: Bench, **changes: Any) -> Delivery:
    """A genuine delivery, but for what a test changes."""
    made = bench.target.delivery(
        **{"event_id": "evt_1", "reference": REFERENCE, "at": datetime.now(UTC), **changes}
    )
    assert made is not None, "a vendor with webhook events has deliveries"
    return made


def verified(bench: Bench, made: Delivery) -> ProviderEvent:
    return bench.adapter().verify_webhook(made.headers, made.body)


def refusal(bench: Bench, made: Delivery) -> str:
    with pytest.raises(WebhookRefused) as raised:
        verified(bench, made)
    return raised.value.code


async def test_genuine_delivery_is_an_event_about_our_operation(bench: Bench) -> None:
    event = verified(bench, delivery(bench))
    assert event.provider == bench.target.provider
    assert event.operation_id == REFERENCE
    assert event.event_type in bench.target.capabilities.webhook_events


async def test_one_event_delivered_again_has_one_id_and_another_event_another(
    bench: Bench,
) -> None:
    first = verified(bench, delivery(bench))
    again = verified(bench, delivery(bench, at=datetime.now(UTC) + timedelta(seconds=1)))
    other = verified(bench, delivery(bench, event_id="evt_2"))
    assert first.event_id == again.event_id
    assert first.event_id != other.event_id


async def test_forged_delivery_is_refused(bench: Bench) -> None:
    forged = delivery(bench, secret="00" * 32)
    assert refusal(bench, forged) == "webhook_signature_invalid"


async def test_altered_body_is_refused(bench: Bench) -> None:
    made = delivery(bench)
    altered = made.body.replace(REFERENCE.encode(), b"po_another")
    assert altered != made.body
    assert refusal(bench, Delivery(made.headers, altered)) == "webhook_signature_invalid"


@needs("signed_age")
@pytest.mark.parametrize("age", AGES)
async def test_stale_or_future_delivery_is_refused(bench: Bench, age: timedelta) -> None:
    assert refusal(bench, delivery(bench, at=datetime.now(UTC) + age)) == "webhook_stale"


async def test_late_event_within_its_signature_is_taken(bench: Bench) -> None:
    """How old the news is does not matter: only the object's present state is applied."""
    late = delivery(bench, at=datetime.now(UTC) - timedelta(seconds=60))
    assert verified(bench, late).operation_id == REFERENCE


@pytest.mark.parametrize(
    "body", [b"", b"not json", b'{"id": "\xff"}', b"[]", b"null", b"[" * 50_000, b"{}"]
)
async def test_signed_nonsense_is_refused(bench: Bench, body: bytes) -> None:
    assert refusal(bench, delivery(bench, body=body)).startswith("webhook_")


async def test_oversize_delivery_is_refused(bench: Bench) -> None:
    body = delivery(bench).body + b" " * 2_000_000
    assert refusal(bench, delivery(bench, body=body)) == "webhook_too_large"


async def test_delivery_without_or_with_strange_headers_is_refused(bench: Bench) -> None:
    made = delivery(bench)
    strange: list[dict[str, str]] = [
        {},
        {name: "" for name in made.headers},
        {name: "\x00\xff" * 40 for name in made.headers},
        {name: value[:-1] for name, value in made.headers.items()},
        {name: "," * 100_000 for name in made.headers},
    ]
    if made.headers:
        for headers in strange:
            assert refusal(bench, Delivery(headers, made.body)).startswith("webhook_")


async def test_mutated_signed_bodies_are_refused_or_speak_of_the_same_kind(bench: Bench) -> None:
    """Whatever is signed: an event with an id, or a refusal, and never another failure."""
    seen = 0
    for body in mutated(delivery(bench).body, 7, at_least=300):
        try:
            event = verified(bench, delivery(bench, body=body.content))
        except WebhookRefused:
            continue
        assert event.event_id, body.name
        seen += 1
    assert seen > 0
