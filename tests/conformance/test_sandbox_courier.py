"""What the vendor sends by itself: signed, late, twice, out of order, forged, and again until it is
taken.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.registry import build
from adapters.transport import ObservedTransport
from recompense.contracts.provider import ProviderEvent, ProviderPort, WebhookRefused
from tests.support.sandbox import Sandbox, free_port, running_sandbox
from tests.support.webhook_receiver import Delivery, WebhookReceiver, receiving_webhooks


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with receiving_webhooks() as listening:
        yield listening


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, receiver: WebhookReceiver) -> Iterator[Sandbox]:
    data_file = tmp_path_factory.mktemp("webhooks") / "sandbox.sqlite3"
    with running_sandbox(
        data_file, webhook_url=receiver.url, pending_delay_ms=50, payout_delay_ms=50
    ) as sandbox:
        yield sandbox


@pytest.fixture
def vendor(live: Sandbox, receiver: WebhookReceiver) -> Iterator[Sandbox]:
    receiver.deliveries.clear()
    live.webhook_mode("normal")
    yield live
    live.webhook_mode("normal")


@pytest_asyncio.fixture
async def adapter(vendor: Sandbox) -> AsyncIterator[ProviderPort]:
    transport = ObservedTransport(lambda _record: None)
    yield build(
        "sandbox",
        {
            "base_url": vendor.base_url,
            "webhook_secrets": ["the_next_secret", vendor.webhook_secret],
        },
        transport=transport,
    ).port
    await transport.aclose()


async def test_what_comes_true_later_is_told_once_and_signed(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    authorize(vendor, "pay_told", "tok_pending")
    authorize(vendor, "pay_silent", "tok_ok")
    [delivery] = receiver.wait_for(bool)
    event = verified(adapter, delivery)
    assert event.event_type == "authorization.authorized"
    assert (event.operation_id, event.effect_key) == ("pay_told", "pay_told:authorize:1")
    [sent] = listed(vendor, "pay_told", 1)
    assert (sent["event_id"], sent["status_code"]) == (event.event_id, 200)
    assert sent["mode"] == "normal"
    assert sent["body"].encode() == delivery.body


async def test_payout_is_told_when_it_is_paid(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    pay_out(vendor, "po_told")
    [delivery] = receiver.wait_for(bool)
    assert verified(adapter, delivery).event_type == "payout.paid"


async def test_refused_delivery_is_sent_again(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    receiver.statuses[:] = [500]
    pay_out(vendor, "po_again")
    first, second = receiver.wait_for(lambda arrived: len(arrived) == 2)
    assert first.body == second.body
    assert verified(adapter, first).event_id == verified(adapter, second).event_id
    assert [row["status_code"] for row in listed(vendor, "po_again", 2)] == [500, 200]


async def test_duplicate_mode_sends_one_event_twice(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    vendor.webhook_mode("duplicate")
    pay_out(vendor, "po_twice")
    first, second = receiver.wait_for(lambda arrived: len(arrived) == 2)
    assert verified(adapter, first).event_id == verified(adapter, second).event_id


async def test_reorder_mode_sends_the_later_event_first(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    vendor.webhook_mode("reorder", delay_ms=30_000)
    pay_out(vendor, "po_back", "tok_returned")
    arrived = receiver.wait_for(lambda deliveries: len(deliveries) == 2)
    types = [verified(adapter, delivery).event_type for delivery in arrived]
    assert types == ["payout.returned", "payout.paid"]


async def test_event_of_late_mode_comes_after_a_later_one(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    vendor.webhook_mode("late", delay_ms=2_000)
    wait_until_paid(vendor, pay_out(vendor, "po_late"))
    vendor.webhook_mode("normal")
    pay_out(vendor, "po_prompt")
    arrived = receiver.wait_for(lambda deliveries: len(deliveries) == 2)
    told = [verified(adapter, delivery).operation_id for delivery in arrived]
    assert told == ["po_prompt", "po_late"]
    assert [row["mode"] for row in listed(vendor, "po_late", 1)] == ["late"]


async def test_drop_mode_sends_nothing(vendor: Sandbox, receiver: WebhookReceiver) -> None:
    vendor.webhook_mode("drop")
    wait_until_paid(vendor, pay_out(vendor, "po_dropped"))
    vendor.webhook_mode("normal")
    pay_out(vendor, "po_after")
    receiver.wait_for(bool)
    assert [row for row in vendor.webhooks() if row["reference"] == "po_dropped"] == []


async def test_forged_delivery_is_refused(
    vendor: Sandbox, receiver: WebhookReceiver, adapter: ProviderPort
) -> None:
    receiver.statuses[:] = [400]
    vendor.webhook_mode("forge")
    pay_out(vendor, "po_forged")
    delivery = receiver.wait_for(bool)[0]
    with pytest.raises(WebhookRefused) as raised:
        adapter.verify_webhook(delivery.headers, delivery.body)
    assert raised.value.code == "webhook_signature_invalid"
    receiver.wait_for(lambda arrived: len(arrived) == 2)


async def test_killed_vendor_delivers_after_its_restart(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    receiver.deliveries.clear()
    data_file, port = tmp_path / "sandbox.sqlite3", free_port()
    options = {"webhook_url": receiver.url, "payout_delay_ms": 100, "port": port}
    with running_sandbox(data_file, **options) as vendor:  # type: ignore[arg-type]  # named options
        vendor.webhook_mode("late", delay_ms=1_500)
        wait_until_paid(vendor, pay_out(vendor, "po_survivor"))
        vendor.arm("payout", "decline", times=3)
        vendor.process.kill()
        vendor.process.wait()
    assert receiver.deliveries == []
    with running_sandbox(data_file, **options) as vendor:  # type: ignore[arg-type]  # named options
        receiver.wait_for(bool)
        assert len(vendor.effects("po_survivor")) == 1
        assert [fault["times"] for fault in vendor.faults()] == [3]


def verified(adapter: ProviderPort, delivery: Delivery) -> ProviderEvent:
    return adapter.verify_webhook(delivery.headers, delivery.body)


def listed(vendor: Sandbox, reference: str, count: int) -> list[dict[str, Any]]:
    """The deliveries about a reference; the vendor notes one only after it has been answered."""
    for _ in range(400):
        rows = [row for row in vendor.webhooks() if row["reference"] == reference]
        if len(rows) >= count:
            return rows
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} deliveries were listed")


def authorize(vendor: Sandbox, reference: str, token: str) -> None:
    body = {"reference": reference, "amount": 500, "currency": "EUR", "token": token}
    key = {"idempotency-key": f"{reference}:authorize:1"}
    vendor.http.post("/v1/authorizations", json=body, headers=key).raise_for_status()


def pay_out(vendor: Sandbox, reference: str, account: str = "tok_ok") -> str:
    body = {"reference": reference, "amount": 500, "currency": "EUR", "token": account}
    key = {"idempotency-key": f"{reference}:payout:1"}
    answer = vendor.http.post("/v1/payouts", json=body, headers=key).raise_for_status()
    made: str = answer.json()["id"]
    return made


def wait_until_paid(vendor: Sandbox, payout: str) -> None:
    """Wait until the vendor has paid, and so made the event in the mode that is in force."""
    for _ in range(400):
        if vendor.http.get(f"/v1/objects/{payout}").json()["status"] == "paid":
            return
        time.sleep(0.02)
    raise AssertionError("the payout was never paid")
