"""Deliveries that hold several events: all of them are stored or none, and the provider reads the
answer that it wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.adyen.signing import (
    ACCOUNT,
    HMAC_KEY,
    TRANSFER_HMAC_KEY,
    Sent,
    item,
    standard,
    transfer,
)
from tests.support.api import Api, make_parts, served
from tests.support.sandbox import free_port

CONFIG: dict[str, Any] = {
    "base_url": "http://127.0.0.1:9/v71",
    "api_key": "k",
    "merchant_account": ACCOUNT,
    "return_url": "https://shop.example/",
    "hmac_keys": [HMAC_KEY],
    "transfer_hmac_keys": [TRANSFER_HMAC_KEY],
}


@pytest.fixture(scope="module")
def adyen_api(edge_database_url: str) -> Iterator[Api]:
    """The API without workers and without Temporal: what it takes is stored, and relayed later."""
    nowhere = f"127.0.0.1:{free_port()}"
    with served(lambda: make_parts(edge_database_url, nowhere, beside={"adyen": CONFIG})) as api:
        api.database_url = edge_database_url
        yield api


def deliver(api: Api, sent: Sent) -> httpx.Response:
    return api.http.post("/webhooks/adyen", content=sent.body, headers=sent.headers)


def stored(api: Api, *psps: str) -> list[Any]:
    with psycopg.connect(api.database_url) as connection:
        found = connection.execute(
            "SELECT event_type, object_reference, operation_id, effect_key FROM provider_events"
            " WHERE provider = 'adyen' AND object_reference = ANY (%s) ORDER BY event_id",
            [list(psps)],
        )
        return found.fetchall()


def test_every_item_is_stored_once_and_the_delivery_is_accepted(adyen_api: Api) -> None:
    sent = standard(
        item("CAPTURE", "BATCH1", "cap_1/capture/1"), item("REFUND", "BATCH2", "ref_1/refund/1")
    )
    for _ in range(2):
        answer = deliver(adyen_api, sent)
        assert (answer.status_code, answer.text) == (200, "[accepted]")
    assert stored(adyen_api, "BATCH1", "BATCH2") == [
        ("CAPTURE", "BATCH1", "cap_1", "cap_1:capture:1"),
        ("REFUND", "BATCH2", "ref_1", "ref_1:refund:1"),
    ]


def test_one_forged_item_stores_nothing_of_its_batch(adyen_api: Api) -> None:
    forged = item("REFUND", "BATCH4", "ref_1/refund/1", key="00" * 32)
    answer = deliver(adyen_api, standard(item("CAPTURE", "BATCH3", "cap_1/capture/1"), forged))
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_signature_invalid")
    assert stored(adyen_api, "BATCH3", "BATCH4") == []


def test_transfer_is_stored_with_its_effect(adyen_api: Api) -> None:
    answer = deliver(adyen_api, transfer("BATCH5", "po_1/payout/1", "booked"))
    assert (answer.status_code, answer.text) == (200, "[accepted]")
    assert stored(adyen_api, "BATCH5") == [("transfer.booked", "BATCH5", "po_1", "po_1:payout:1")]
