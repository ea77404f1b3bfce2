"""Each fault of the vendor on each money operation: what the adapter says, and how many effects
there are.
"""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from recompense.contracts.provider import Absent, Approved, Pending, ProviderOperation
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable, RecompenseError
from tests.conformance.support import HASTY, MONEY_OPERATIONS, Bench, reference_if_made
from tests.support.faulty_server import CuttingProxy, FaultyServer, http_answer, serving

UNKNOWN = [
    ("timeout_before", 0),
    ("timeout_after", 1),
    ("reset_before", 0),
    ("reset_after", 1),
    ("error_before", 0),
    ("error_after", 1),
    ("malformed", 1),
]
NOT_SENT = ["unavailable", "rate_limited"]


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize(("fault", "effects"), UNKNOWN)
async def test_lost_answer_is_unknown_and_lookup_finds_the_truth(
    bench: Bench, operation: ProviderOperation, fault: str, effects: int
) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, fault)
    adapter = bench.adapter(HASTY if fault.startswith("timeout") else None)
    with pytest.raises(OutcomeUnknown):
        await bench.make(call, adapter)
    bench.assert_fired()
    assert len(bench.effects(call)) == effects
    found = await bench.look_up(call)
    if effects:
        assert reference_if_made(call, found.answer) is not None
    else:
        assert found.answer == Absent()
    assert reference_if_made(call, await bench.make(call)) is not None
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", NOT_SENT)
async def test_documented_refusal_to_work_is_unavailable_and_says_when(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, fault)
    with pytest.raises(ProviderUnavailable) as raised:
        await bench.make(call)
    bench.assert_fired()
    assert raised.value.retry_after_seconds == 1
    assert bench.effects(call) == []
    assert reference_if_made(call, await bench.make(call)) is not None


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_slow_answer_is_right(bench: Bench, operation: ProviderOperation) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, "slow", delay_ms=100)
    assert reference_if_made(call, await bench.make(call)) is not None
    bench.assert_fired()
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("fault", [fault for fault, _ in UNKNOWN])
async def test_fault_on_every_try_never_doubles_the_effect(bench: Bench, fault: str) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    bench.arm(call, fault, times=-1)
    adapter = bench.adapter(HASTY if fault.startswith("timeout") else None)
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, adapter)
    assert bench.target.vendor.fired() == 3
    assert len(bench.effects(call)) <= 1


@pytest.mark.parametrize("fault", [fault for fault, _ in UNKNOWN if fault != "malformed"])
async def test_fault_on_lookup_is_a_failed_call_and_moves_nothing(bench: Bench, fault: str) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    await bench.make(call)
    bench.target.vendor.arm("lookup", fault, reference=call.operation_id)
    with pytest.raises(OutcomeUnknown):
        await bench.look_up(call, bench.adapter(HASTY))
    bench.assert_fired()
    assert isinstance((await bench.look_up(call)).answer, Approved)


async def test_malformed_lookup_is_unknown_and_not_absent(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    bench.target.vendor.arm("lookup", "malformed", reference=call.operation_id)
    with pytest.raises(OutcomeUnknown):
        await bench.look_up(call)
    bench.assert_fired()


@pytest.mark.parametrize("fault", ["pending", "unknown_status"])
async def test_stale_lookup_is_pending(bench: Bench, fault: str) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    await bench.make(call)
    bench.target.vendor.arm("lookup", fault, reference=call.operation_id)
    assert isinstance((await bench.look_up(call)).answer, Pending)
    bench.assert_fired()


async def test_effect_key_in_progress_is_unknown(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    bench.arm(call, "slow", delay_ms=2_000)
    first = asyncio.create_task(bench.make(call))
    while bench.target.vendor.fired() == 0:
        await asyncio.sleep(0.01)
    with pytest.raises(OutcomeUnknown):
        await bench.make(call)
    assert reference_if_made(call, await first) is not None
    assert len(bench.effects(call)) == 1


async def test_refused_connection_is_unavailable(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable):
            await bench.make(call, bench.adapter(base_url=address))


async def test_unknown_host_is_unavailable(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    with pytest.raises(ProviderUnavailable):
        await bench.make(call, bench.adapter(base_url="http://nowhere.invalid"))


@pytest.mark.parametrize("reset", [False, True])
async def test_answer_cut_at_any_byte_is_unknown_and_the_effect_is_single(
    bench: Bench, reset: bool
) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    proxy = CuttingProxy(bench.target.port, answer_bytes=0, reset=reset)
    async with serving(proxy) as base_url:
        adapter = bench.adapter(base_url=base_url)
        while True:
            try:
                outcome = await bench.make(call, adapter)
            except OutcomeUnknown:
                proxy.answer_bytes += 1
                continue
            break
        assert proxy.answer_bytes == proxy.answer_length
    assert reference_if_made(call, outcome) is not None
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("request_bytes", [0, 1, 20, 100, 250])
async def test_request_cut_under_way_is_unknown(bench: Bench, request_bytes: int) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    server = FaultyServer(request_bytes=request_bytes)
    async with serving(server) as base_url:
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, bench.adapter(base_url=base_url))


@pytest.mark.parametrize("whole_bytes", [0, 1, 80])
async def test_right_answer_that_drips_past_the_deadline_is_unknown(
    bench: Bench, whole_bytes: int
) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    body = {
        "id": "au_1",
        "object": "authorization",
        "reference": call.operation_id,
        "idempotency_key": call.effect_key,
        "amount": call.amount,
        "currency": call.currency,
        "status": "authorized",
    }
    answer = http_answer(201, json.dumps(body).encode())
    pieces = [answer[:whole_bytes], *(bytes([byte]) for byte in answer[whole_bytes:])]
    # Each single read is quick: without a deadline over the whole call this ends in an approval.
    server = FaultyServer(pieces, pause_seconds=0.02)
    async with serving(server) as base_url:
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, bench.adapter(HASTY, base_url))
    [record] = bench.records
    assert record.outcome == "OutcomeUnknown"


@pytest.mark.parametrize(
    "answer",
    [
        b"\x00\x01\x02 garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 999999 X\r\n\r\n",
        b"HTTP/1.1 201 Created\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 201 Created\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        http_answer(201, b"<html>It works!</html>", content_type="text/html"),
        http_answer(200, b'{"id": "au_1"'),
        http_answer(200, b"[]"),
        http_answer(200, b""),
        http_answer(204, b""),
        http_answer(200, b"[" * 100_000),
        http_answer(200, b" " * 2_000_000),
        http_answer(302, b"", headers="location: http://127.0.0.1:1/\r\n"),
        http_answer(404, b"no such page"),
        http_answer(418, b'{"error": {"code": "teapot", "message": "?"}}'),
        http_answer(500, b""),
        http_answer(502, b"bad gateway"),
        http_answer(504, b""),
    ],
)
async def test_nonsense_is_unknown_for_calls_and_lookups(bench: Bench, answer: bytes) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    async with serving(FaultyServer([answer])) as base_url:
        adapter = bench.adapter(base_url=base_url)
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, adapter)
        with pytest.raises(OutcomeUnknown):
            await bench.look_up(call, adapter)


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_denied_and_not_retryable(bench: Bench, status: int) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    async with serving(FaultyServer([http_answer(status, b"{}")])) as base_url:
        with pytest.raises(RecompenseError) as raised:
            await bench.make(call, bench.adapter(base_url=base_url))
    assert type(raised.value).__name__ == "ProviderAccessDenied"
