"""Outbound webhooks of a whole stack: signed, retried under one id, and none lost with a worker."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from tests.support.caller import Caller, Request, payment
from tests.support.stack import TestStack, eventually, stack_of_its_own
from tests.support.webhook_receiver import WebhookReceiver, receiving_webhooks

OF_ONE_PAYMENT = {"payment.authorized", "capture.succeeded", "payment.captured"}


@pytest.fixture(scope="module")
def stack() -> Iterator[TestStack]:
    """A stack with one worker that may deliver to this machine."""
    settings = {"RECOMPENSE_WEBHOOK_ALLOW_PRIVATE_TARGETS": "true"}
    with stack_of_its_own(settings) as running:
        running.up("--workers", "1")
        yield running


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A receiver of this test's own."""
    with receiving_webhooks() as running:
        yield running


def _asked(stack: TestStack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found = stack.file()
    answer = httpx.post(
        found["api_url"] + path,
        json=body,
        headers={
            "Authorization": f"Bearer {found['tokens']['backend']}",
            "Idempotency-Key": uuid4().hex,
        },
        timeout=40,
    )
    asked: dict[str, Any] = answer.raise_for_status().json()
    return asked


def _read(stack: TestStack, path: str) -> list[dict[str, Any]]:
    found = stack.file()
    answer = httpx.get(
        found["api_url"] + path,
        headers={"Authorization": f"Bearer {found['tokens']['backend']}"},
        timeout=40,
    )
    data: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return data


def _paid(stack: TestStack) -> str:
    """An authorized and captured payment; its id."""
    made = Caller(stack).ask(payment(), key=uuid4().hex)
    capture = Request(f"/v1/payments/{made['id']}/captures", {})
    Caller(stack).ask(capture, key=uuid4().hex)
    return str(made["id"])


def _arrived(receiver: WebhookReceiver, secret: str) -> list[dict[str, Any]]:
    """What has arrived, in order, each verified by somebody else's implementation."""
    shown = []
    for one in list(receiver.deliveries):
        event = Webhook(secret).verify(one.body, one.headers)
        assert one.headers["webhook-id"] == event["id"]
        shown.append(event)
    return shown


def test_failing_receiver_gets_each_event_again_under_its_id(
    stack: TestStack, receiver: WebhookReceiver
) -> None:
    receiver.statuses = [500, 503, 302]
    endpoint = _asked(stack, "/v1/webhook-endpoints", {"url": receiver.url, "events": ["*"]})
    payment_id = _paid(stack)

    def taken() -> set[str]:
        events = _arrived(receiver, endpoint["secret"])[3:]
        objects = [event["data"]["object"] for event in events]
        assert all(payment_id in (one["id"], one.get("payment_id")) for one in objects)
        return {event["type"] for event in events}

    eventually(lambda: taken() >= OF_ONE_PAYMENT, "all three events are taken")
    tries = Counter(event["id"] for event in _arrived(receiver, endpoint["secret"]))
    assert len(tries) == 3
    assert tries.total() == 6
    bodies = {one.headers["webhook-id"]: one.body for one in receiver.deliveries}
    assert all(one.body == bodies[one.headers["webhook-id"]] for one in receiver.deliveries)
    listed = json.loads(stack.command("webhooks", "show", endpoint["id"], "--json").stdout)

    def all_recorded() -> bool:
        listed = json.loads(stack.command("webhooks", "show", endpoint["id"], "--json").stdout)
        return {row["state"] for row in listed["deliveries"]} == {"delivered"}

    eventually(all_recorded, "each delivery is recorded")
    assert listed["url"] == receiver.url


def test_killed_worker_loses_no_event(stack: TestStack, receiver: WebhookReceiver) -> None:
    """It dies with its tries under way: sent, and not recorded. What comes meanwhile is handed out
    by the next one.
    """
    receiver.gate.clear()
    endpoint = _asked(stack, "/v1/webhook-endpoints", {"url": receiver.url, "events": ["*"]})
    secret = endpoint["secret"]
    before = {event["id"] for event in _read(stack, "/v1/events?limit=100")}
    _paid(stack)
    receiver.wait_for(lambda arrived: len(arrived) >= 1)
    held = {event["id"] for event in _arrived(receiver, secret)}
    (victim,) = stack.file()["pids"]["workers"]
    os.kill(victim, signal.SIGKILL)
    receiver.gate.set()
    _paid(stack)
    eventually(lambda: stack.file()["pids"]["workers"] != [victim], "another worker is told of")

    def all_arrived() -> bool:
        feed = {event["id"] for event in _read(stack, "/v1/events?limit=100")} - before
        tries = Counter(event["id"] for event in _arrived(receiver, secret))
        return len(feed) >= 6 and feed <= set(tries) and all(tries[one] > 1 for one in held)

    eventually(all_arrived, "every event has arrived, those of the dead worker again")
