"""Each fault of the vendor on each money operation: what the adapter says, and how many effects
there are.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from recompense.contracts.provider import Absent, Pending, ProviderOperation
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderUnavailable,
    RecompenseError,
)
from tests.conformance.cases import HTTP, needs
from tests.conformance.support import HASTY, MONEY_OPERATIONS, Bench
from tests.support.fault_proxy import FaultProxy, faulty
from tests.support.faulty_server import CuttingProxy, FaultyServer, http_answer, serving

UNKNOWN = {
    "timeout_before": 0,
    "timeout_after": 1,
    "reset_before": 0,
    "reset_after": 1,
    "error_before": 0,
    "error_after": 1,
    "malformed": 1,
}
"""Faults after which nobody knows, and how many effects they leave."""

REFUSALS = {"rate_limited": 429, "unavailable": 503}


@needs("lookup_by_reference", "native_idempotency")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", UNKNOWN)
async def test_lost_answer_is_unknown_and_lookup_finds_the_truth(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault) as meeting:
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    assert len(bench.effects(call)) == UNKNOWN[fault]
    found = await bench.look_up(call)
    if UNKNOWN[fault]:
        assert bench.reference_if_made(call, found.answer) is not None
    else:
        assert found.answer == Absent()
    assert bench.reference_if_made(call, await bench.make(call)) is not None
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", REFUSALS)
async def test_refusal_to_work_is_unavailable_where_documented_and_says_when(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    documented = fault == "rate_limited" or REFUSALS[fault] in bench.target.nothing_done
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault) as meeting:
        with pytest.raises(ProviderUnavailable if documented else OutcomeUnknown) as raised:
            await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    if isinstance(raised.value, ProviderUnavailable):
        assert raised.value.retry_after_seconds == 1
    assert bench.effects(call) == []
    assert bench.reference_if_made(call, await bench.make(call)) is not None


@needs(HTTP)
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0.0), ("2", 2.0), ("999999", "cap"), ("-5", None), ("soon", None), ("", None)],
)
async def test_retry_after_is_honoured_up_to_the_policys_cap(
    bench: Bench, header: str, seconds: float | str | None
) -> None:
    operation = bench.any_operation
    call = await bench.prepared(operation)
    async with bench.meeting(call, "rate_limited", retry_after=header) as meeting:
        with pytest.raises(ProviderUnavailable) as raised:
            await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    cap = bench.policies.calls[operation].retry_after_cap_seconds
    expected = cap if seconds == "cap" else seconds
    if isinstance(expected, float):
        expected = min(expected, cap)
    assert raised.value.retry_after_seconds == expected


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", ["slow"])
async def test_slow_answer_is_right(bench: Bench, operation: ProviderOperation, fault: str) -> None:
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault, delay_ms=100) as meeting:
        answer = await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    assert bench.reference_if_made(call, answer) is not None
    assert len(bench.effects(call)) == 1


@needs("native_idempotency")
@pytest.mark.parametrize("fault", UNKNOWN)
async def test_fault_on_every_try_never_doubles_the_effect(bench: Bench, fault: str) -> None:
    call = await bench.prepared(bench.any_operation)
    async with bench.meeting(call, fault, times=-1) as meeting:
        for _ in range(3):
            with pytest.raises(OutcomeUnknown):
                await bench.make(call, meeting.adapter)
        assert meeting.fired() >= 3
    assert len(bench.effects(call)) <= 1


@needs("lookup_by_reference")
@pytest.mark.parametrize("fault", UNKNOWN)
async def test_fault_on_lookup_is_a_failed_call_and_moves_nothing(bench: Bench, fault: str) -> None:
    call = await bench.prepared(bench.any_operation)
    await bench.make(call)
    async with bench.meeting(call, fault, lookup=True) as meeting:
        with pytest.raises(OutcomeUnknown):
            await bench.look_up(call, meeting.adapter)
        meeting.assert_fired()
    found = await bench.look_up(call)
    assert bench.reference_if_made(call, found.answer) is not None
    assert len(bench.effects(call)) == 1


@needs("lookup_by_reference")
@pytest.mark.parametrize("fault", ["malformed"])
async def test_malformed_lookup_is_unknown_and_not_absent(bench: Bench, fault: str) -> None:
    call = await bench.prepared(bench.any_operation)
    async with bench.meeting(call, fault, lookup=True) as meeting:
        with pytest.raises(OutcomeUnknown):
            await bench.look_up(call, meeting.adapter)
        meeting.assert_fired()


@needs("lookup_by_reference")
@pytest.mark.parametrize("fault", ["pending", "unknown_status"])
async def test_stale_lookup_is_pending(bench: Bench, fault: str) -> None:
    call = await bench.prepared(bench.any_operation)
    await bench.make(call)
    async with bench.meeting(call, fault, lookup=True) as meeting:
        assert isinstance((await bench.look_up(call, meeting.adapter)).answer, Pending)
        meeting.assert_fired()


@needs("native_idempotency", "in_progress")
async def test_effect_key_in_progress_is_unknown(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    async with bench.meeting(call, "slow", delay_ms=2_000) as meeting:
        first = asyncio.create_task(bench.make(call, meeting.adapter))
        while meeting.fired() == 0:
            await asyncio.sleep(0.01)
        with pytest.raises(OutcomeUnknown):
            await bench.make(call)
        assert bench.reference_if_made(call, await first) is not None
    assert len(bench.effects(call)) == 1


@needs(HTTP)
async def test_refused_connection_is_unavailable(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable):
            await bench.make(call, bench.adapter(base_url=address))
    assert bench.effects(call) == []


@needs(HTTP)
async def test_unknown_host_is_unavailable(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    with pytest.raises(ProviderUnavailable):
        await bench.make(call, bench.adapter(base_url="http://nowhere.invalid"))


@needs(HTTP, "native_idempotency")
@pytest.mark.parametrize("reset", [False, True])
async def test_answer_cut_at_any_byte_is_unknown_and_the_effect_is_single(
    bench: Bench, reset: bool
) -> None:
    call = await bench.prepared(bench.any_operation)
    proxy = CuttingProxy(bench.target.port, answer_bytes=0, reset=reset)
    async with serving(proxy) as base_url:
        adapter = bench.adapter(base_url=bench.at(base_url))
        while True:
            try:
                outcome = await bench.make(call, adapter)
            except OutcomeUnknown:
                proxy.answer_bytes += 1
                continue
            break
        assert proxy.answer_bytes == proxy.answer_length
    assert bench.reference_if_made(call, outcome) is not None
    assert len(bench.effects(call)) == 1


@needs(HTTP)
@pytest.mark.parametrize("request_bytes", [0, 1, 20, 100, 250])
async def test_request_cut_under_way_is_unknown(bench: Bench, request_bytes: int) -> None:
    call = await bench.prepared(bench.any_operation)
    server = FaultyServer(request_bytes=request_bytes)
    async with serving(server) as base_url:
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, bench.adapter(base_url=bench.at(base_url)))


@needs(HTTP)
@pytest.mark.parametrize("whole_bytes", [0, 1, 80])
async def test_right_answer_that_drips_past_the_deadline_is_unknown(
    bench: Bench, whole_bytes: int
) -> None:
    call = await bench.prepared(bench.any_operation)
    assert bench.target.base_url is not None
    # Each single read is quick: without a deadline over the whole call this ends in an approval.
    proxy = FaultProxy(
        bench.target.base_url, "drip", bench.target.moves_money, whole_bytes=whole_bytes
    )
    async with faulty(proxy) as base_url:
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, bench.adapter(HASTY, base_url))
    assert proxy.fired == 1
    assert bench.records[-1].outcome == "OutcomeUnknown"
    assert len(bench.effects(call)) == 1


@needs(HTTP)
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
    call = await bench.prepared(bench.any_operation)
    async with serving(FaultyServer([answer])) as base_url:
        adapter = bench.adapter(base_url=bench.at(base_url))
        with pytest.raises(OutcomeUnknown):
            await bench.make(call, adapter)
        capabilities = bench.target.capabilities
        if capabilities.lookup_by_reference and not capabilities.truth_by_webhook:
            with pytest.raises(OutcomeUnknown):
                await bench.look_up(call, adapter)


@needs(HTTP)
@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_denied_and_not_retryable(bench: Bench, status: int) -> None:
    call = await bench.prepared(bench.any_operation)
    async with serving(FaultyServer([http_answer(status, b"{}")])) as base_url:
        with pytest.raises(RecompenseError) as raised:
            await bench.make(call, bench.adapter(base_url=bench.at(base_url)))
    assert type(raised.value) is ProviderAccessDenied
