"""One try over the wire: where it connects to, what it sends, and what counts as taken."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recompense.webhooks.sending import MOST_OF_A_BODY_BYTES, Outcome, Resolve, Result, Sender
from tests.support.raw_receiver import RawReceiver, certificate_for, raw_receiver

HEADERS = {"webhook-id": "evt_1", "content-type": "application/json"}
BODY = b'{"id": "evt_1"}'
NAME = "hooks.shop.example"


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[Sender]:
    """A sender that may go to this machine, unless told otherwise."""
    sender = Sender(**{"allow_private": True, "deadline_seconds": 5.0, **options})
    try:
        yield sender
    finally:
        await sender.aclose()


async def _tried(receiver: RawReceiver, path: str = "/hooks", **options: Any) -> Result:
    async with sending(**options) as sender:
        return await sender.send(f"http://127.0.0.1:{receiver.port}{path}", HEADERS, BODY)


def _always(*addresses: str) -> Resolve:
    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return resolve


def _answer(status: str, *headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 " + status, *headers, "content-length: 0", "", ""]).encode()


async def test_request_is_sent_as_it_is_and_its_connection_closed() -> None:
    async with raw_receiver() as receiver:
        assert await _tried(receiver, "/hooks?a=1") == Result(Outcome.DELIVERED, 200)
    (request,) = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /hooks?a=1 http/1.1"
    assert {b"webhook-id: evt_1", b"connection: close"} <= set(lines)
    assert body == BODY


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (_answer("204 No Content"), Result(Outcome.DELIVERED, 204)),
        (_answer("201 Created", "retry-after: 5"), Result(Outcome.DELIVERED, 201)),
        (_answer("410 Gone"), Result(Outcome.GONE, 410)),
        (_answer("500 Oops"), Result(Outcome.REJECTED, 500)),
        (_answer("400 No", "retry-after: soon"), Result(Outcome.REJECTED, 400)),
        (_answer("429 Slow", "Retry-After: 120"), Result(Outcome.REJECTED, 429, 120.0)),
        (_answer("503 Away", "retry-after: 999999999"), Result(Outcome.REJECTED, 503, 21600.0)),
        (_answer("503 Away", "retry-after: -5"), Result(Outcome.REJECTED, 503)),
        (
            _answer("503 Away", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT"),
            Result(Outcome.REJECTED, 503, 0.0),
        ),
        (b"nonsense\r\n\r\n", Result(Outcome.UNREACHABLE)),
        (b"", Result(Outcome.UNREACHABLE)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", Result(Outcome.DELIVERED, 200)),
    ],
)
async def test_status_decides(answer: bytes, result: Result) -> None:
    async with raw_receiver() as receiver:
        receiver.answer = answer
        assert await _tried(receiver) == result
    assert len(receiver.requests) == 1


async def test_redirect_is_not_followed() -> None:
    async with raw_receiver() as there, raw_receiver() as receiver:
        receiver.answer = _answer("307 There", f"location: http://127.0.0.1:{there.port}/")
        assert await _tried(receiver) == Result(Outcome.REJECTED, 307)
        assert there.requests == []


async def test_nobody_listening_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with sending() as sender:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
            assert await sender.send(url, HEADERS, BODY) == Result(Outcome.UNREACHABLE)


async def test_deadline_is_total() -> None:
    async with raw_receiver() as receiver:
        receiver.hang = True
        assert await _tried(receiver, deadline_seconds=0.2) == Result(Outcome.TIMEOUT)
        receiver.hang, receiver.answer, receiver.drip = False, b"HTTP/1.1 200", b"O"
        assert await _tried(receiver, deadline_seconds=0.2) in (
            Result(Outcome.TIMEOUT),
            Result(Outcome.UNREACHABLE),  # so many letters of a status that it is none
        )


async def test_body_is_read_a_little_and_no_further() -> None:
    async with raw_receiver() as receiver:
        receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        receiver.drip = b"x" * MOST_OF_A_BODY_BYTES
        assert await _tried(receiver) == Result(Outcome.DELIVERED, 200)
        receiver.drip = b"x"
        assert await _tried(receiver, deadline_seconds=0.2) == Result(Outcome.DELIVERED, 200)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_never_connected_to(host: str) -> None:
    async with raw_receiver() as receiver, sending(allow_private=False) as sender:
        result = await sender.send(f"https://{host}:{receiver.port}/", HEADERS, BODY)
        assert result == Result(Outcome.FORBIDDEN_TARGET)
        assert receiver.requests == []


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "::ffff:127.0.0.1", "fe80::1%lo"])
async def test_name_that_leads_inside_is_refused(private: str) -> None:
    async with sending(allow_private=False, resolve=_always(private)) as sender:
        result = await sender.send(f"https://{NAME}/", HEADERS, BODY)
    assert result == Result(Outcome.FORBIDDEN_TARGET)


async def test_name_is_resolved_for_each_try_and_only_what_was_checked_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that was public at the first try leads inside at the second."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    connected: list[str] = []

    async def resolve(_host: str, _port: int) -> list[str]:
        return next(answers)

    async def connect(_backend: object, host: str, *_: object) -> object:
        connected.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", connect)
    async with sending(allow_private=False, resolve=resolve) as sender:
        first = await sender.send(f"https://{NAME}/", HEADERS, BODY)
        second = await sender.send(f"https://{NAME}/", HEADERS, BODY)
    assert first.outcome is Outcome.UNREACHABLE
    assert second.outcome is Outcome.FORBIDDEN_TARGET
    assert connected == ["93.184.215.14"]


async def test_private_address_among_public_ones_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[str] = []

    async def connect(_backend: object, host: str, *_: object) -> object:
        connected.append(host)
        raise OSError("no network in this test")

    monkeypatch.setattr("httpcore.AnyIOBackend.connect_tcp", connect)
    resolve = _always("127.0.0.1", "8.8.8.8", "10.0.0.1")
    async with sending(allow_private=False, resolve=resolve) as sender:
        assert (await sender.send(f"https://{NAME}/", HEADERS, BODY)).outcome is Outcome.UNREACHABLE
    assert connected == ["8.8.8.8"]


async def test_next_address_is_tried_when_the_first_does_not_answer() -> None:
    async with raw_receiver() as receiver, sending(resolve=_always("::1", "127.0.0.1")) as sender:
        result = await sender.send(f"http://{NAME}:{receiver.port}/", HEADERS, BODY)
    assert result.outcome is Outcome.DELIVERED


async def test_tls_carries_the_name_and_its_certificate_is_checked(tmp_path: Path) -> None:
    server, trusting = certificate_for(NAME, tmp_path)
    other, _ = certificate_for("other.example", tmp_path)
    here = _always("127.0.0.1")

    async def tried(tls: ssl.SSLContext, client: ssl.SSLContext | None) -> tuple[Result, Any]:
        async with raw_receiver(tls) as receiver, sending(resolve=here, tls=client) as sender:
            result = await sender.send(f"https://{NAME}:{receiver.port}/", HEADERS, BODY)
        return result, receiver

    result, receiver = await tried(server, trusting)
    assert result == Result(Outcome.DELIVERED, 200)
    assert receiver.names == [NAME]
    assert f"host: {NAME}:{receiver.port}".encode() in receiver.requests[0].lower()
    for tls, client in ((server, None), (other, trusting)):
        result, receiver = await tried(tls, client)
        assert result == Result(Outcome.UNREACHABLE)
        assert receiver.requests == []


async def test_unresolvable_names_are_unreachable() -> None:
    async def fails(_host: str, _port: int) -> list[str]:
        raise socket.gaierror("no such name")

    resolvers: list[Callable[[str, int], Any] | None] = [fails, None]
    for resolve, host in zip(resolvers, (NAME, "x" * 64 + ".example"), strict=True):
        async with sending(resolve=resolve) as sender:
            result = await sender.send(f"http://{host}/", HEADERS, BODY)
        assert result == Result(Outcome.UNREACHABLE)
