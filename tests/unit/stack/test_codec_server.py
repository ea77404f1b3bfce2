"""The codec server: what a Temporal UI asks, and what nobody else gets."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from recompense.stack.codec_server import MAX_BODY_BYTES, create_app
from recompense.temporal import EncryptingCodec

UI = "http://127.0.0.1:8233"
PLAIN = {
    "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
    "data": base64.b64encode(b'"hello"').decode(),
}


def ui_of_a_new_server() -> AsyncClient:
    """A page of the UI before a codec server with a key of its own."""
    app = create_app(EncryptingCodec([os.urandom(32)]), [UI, "http://localhost:8233"])
    headers = {"Origin": UI}
    return AsyncClient(transport=ASGITransport(app), base_url="http://codec", headers=headers)


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with ui_of_a_new_server() as client:
        yield client


async def translated(
    client: AsyncClient, path: str, *payloads: dict[str, Any]
) -> list[dict[str, Any]]:
    answer = await client.post(path, json={"payloads": list(payloads)})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["payloads"]
    return found


async def test_what_is_encoded_is_decoded_again(client: AsyncClient) -> None:
    (encrypted,) = await translated(client, "/encode", PLAIN)
    assert encrypted != PLAIN
    assert await translated(client, "/decode", encrypted) == [PLAIN]


async def test_no_payloads_give_an_empty_list(client: AsyncClient) -> None:
    assert await translated(client, "/decode") == []


@pytest.mark.parametrize("path", ["/encode", "/decode"])
async def test_the_ui_may_ask_before_it_posts(client: AsyncClient, path: str) -> None:
    answer = await client.options(
        path,
        headers={
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-namespace,authorization",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == UI


@pytest.mark.parametrize("origin", ["http://evil.example", "null", UI + "0", UI.upper()])
async def test_another_origin_is_refused_in_both_ways(client: AsyncClient, origin: str) -> None:
    asked = await client.options(
        "/decode", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert "access-control-allow-origin" not in asked.headers
    answer = await client.post("/decode", json={"payloads": [PLAIN]}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_form_that_a_browser_sends_without_asking_is_refused(client: AsyncClient) -> None:
    answer = await client.post(
        "/decode", content='{"payloads": []}', headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("body", [b"{", b'{"payloads": 1}', b"\xff\xfe", b'{"other": 1}'])
async def test_a_body_of_another_shape_is_refused(client: AsyncClient, body: bytes) -> None:
    answer = await client.post(
        "/decode", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == UI


async def test_a_payload_of_an_unknown_key_is_a_400_that_says_so(client: AsyncClient) -> None:
    async with ui_of_a_new_server() as stranger:
        (encrypted,) = await translated(stranger, "/encode", PLAIN)
    answer = await client.post("/decode", json={"payloads": [encrypted]})
    assert answer.status_code == 400
    assert "key" in answer.json()["message"]


async def test_an_oversized_body_is_refused(client: AsyncClient) -> None:
    answer = await client.post(
        "/decode",
        content=b" " * (MAX_BODY_BYTES + 1),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


async def test_answers_are_neither_kept_nor_framed(client: AsyncClient) -> None:
    headers = (await client.post("/decode", json={"payloads": []})).headers
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
