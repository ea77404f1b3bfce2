"""Inbound webhooks: what verifies is stored once and applied, what does not changes nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import psycopg
import pytest
from temporalio.client import Client

from recompense.contracts.sagas import ProviderEventInput
from recompense.contracts.starting import event_workflow_id
from tests.support.api import WEBHOOK_SECRET, Api, fresh_key, make_parts, served
from tests.support.sandbox import free_port


def _event(event_id: str) -> bytes:
    return json.dumps(
        {
            "id": event_id,
            "type": "something.new",
            "created_at": time.time(),
            "data": {"object": {"id": "obj_1"}},
        }
    ).encode()


def _signature(body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    moment = int(at if at is not None else time.time())
    signed = f"{moment}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _deliver(api: Api, body: bytes, signature: str | bytes | None = None) -> httpx.Response:
    headers: dict[str, Any] = {"Sandbox-Signature": signature or _signature(body)}
    return api.http.post("/webhooks/sandbox", content=body, headers=headers)


def _stored(api: Api) -> list[Any]:
    with psycopg.connect(api.database_url) as connection:
        found = connection.execute("SELECT event_id, status FROM provider_events ORDER BY 1")
        return found.fetchall()


async def test_event_is_stored_once_and_its_workflow_is_started(api: Api) -> None:
    event_id = f"evt{fresh_key()}"
    body = _event(event_id)
    answers = [_deliver(api, body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    client = await Client.connect(api.temporal_address)
    event = ProviderEventInput(provider="sandbox", event_id=event_id)
    await client.get_workflow_handle(event_workflow_id(event)).result()
    assert [row for row in _stored(api) if row[0] == event_id] == [(event_id, "ignored")]


def test_event_is_taken_while_temporal_is_down(api: Api) -> None:
    event_id = f"evt{fresh_key()}"
    dead = f"127.0.0.1:{free_port()}"
    with served(lambda: make_parts(api.database_url, dead)) as cut_off:
        assert _deliver(cut_off, _event(event_id)).status_code == 200
    assert (event_id, "received") in _stored(api)


def test_event_is_not_taken_while_the_database_is_down(api: Api) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/nothing"
    with served(lambda: make_parts(nowhere, api.temporal_address)) as cut_off:
        assert _deliver(cut_off, _event("evt_x")).status_code == 503


def test_unknown_provider_is_404(api: Api) -> None:
    answer = api.http.post("/webhooks/nobody", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (404, "provider_not_found")


HOSTILE: list[tuple[str, bytes, str | bytes, int]] = [
    ("unsigned", b"{}", b"", 400),
    ("garbage header", b"{}", b"\xff\xfe\x00garbage"[:2] + b"garbage", 400),
    ("forged", _event("evt_forged"), "t=1,v1=" + "0" * 64, 400),
    ("not JSON", b"not json", "sign", 400),
    ("not UTF-8", b'{"id": "\xff"}', "sign", 400),
    (
        "nul",
        b'{"id": "a\\u0000b", "type": "x", "created_at": 1, "data": {"object": {}}}',
        "sign",
        400,
    ),
    ("deep", b"[" * 50_000, "sign", 400),
    ("too large", b"x" * 70_000, "sign", 413),
]


@pytest.mark.parametrize(("what", "body", "signature", "status"), HOSTILE)
def test_hostile_delivery_is_refused_and_stored_nowhere(
    api: Api, what: str, body: bytes, signature: str | bytes, status: int
) -> None:
    before = _stored(api)
    given = _signature(body) if signature == "sign" else signature
    headers: dict[str, Any] = {"Sandbox-Signature": given}
    answer = api.http.post("/webhooks/sandbox", content=body, headers=headers)
    assert answer.status_code == status, (what, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert _stored(api) == before


def test_stale_future_and_foreign_signatures_are_refused(api: Api) -> None:
    body = _event("evt_old")
    before = _stored(api)
    for signature, code in (
        (_signature(body, at=time.time() - 3600), "webhook_stale"),
        (_signature(body, at=time.time() + 3600), "webhook_stale"),
        (_signature(body, secret="of another merchant"), "webhook_signature_invalid"),
        (_signature(body + b" "), "webhook_signature_invalid"),
    ):
        answer = _deliver(api, body, signature)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert _stored(api) == before
