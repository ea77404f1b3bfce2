"""A shadow reads what the live adapter was answered. What it does wrong is told, and reaches
nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters import registry
from adapters.registration import Provider
from adapters.shadow import SAME, ReplayTransport, ShadowedPort, ShadowReport, difference
from adapters.transport import ObservedTransport
from recompense.contracts.provider import (
    Approved,
    AuthorizeCall,
    Declined,
    Found,
    Outcome,
    PayoutState,
    Pending,
    ProviderOperation,
)
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch
from tests.support.faulty_server import FaultyServer, http_answer, serving

SANDBOX: Mapping[str, Any] = {"webhook_secrets": ["a_test_secret"]}
CALL = AuthorizeCall(
    operation_id="pay_1",
    effect_key="pay_1:authorize:1",
    amount=1_000,
    currency="EUR",
    send_by=datetime.now(UTC) + timedelta(days=1),
    token="tok_ok",
    merchant_id="mer_1",
)
MADE = (
    b'{"id": "au_1", "object": "authorization", "reference": "pay_1", "amount": 1000,'
    b' "idempotency_key": "pay_1:authorize:1", "currency": "EUR", "status": "authorized"}'
)


@dataclass
class Candidate:
    """Stands for an adapter: what it makes of a call is the test's word."""

    authorizes: Callable[[AuthorizeCall], Awaitable[Outcome]]
    asked: list[str] = field(default_factory=list)

    async def authorize(self, call: AuthorizeCall) -> Outcome:
        self.asked.append(call.effect_key)
        return await self.authorizes(call)


async def shadowed(
    base_url: str, candidate: Any, reports: list[ShadowReport]
) -> tuple[ShadowedPort, ObservedTransport]:
    transport = ObservedTransport(lambda _: None)
    live = registry.build("sandbox", {**SANDBOX, "base_url": base_url}, transport=transport)
    beside = Provider("next", live.capabilities, live.policies, candidate)
    return ShadowedPort(live, beside, reports.append), transport


async def compared(candidate: Any, answer: bytes) -> tuple[object, list[str]]:
    """What the live adapter told, and what was reported."""
    reports: list[ShadowReport] = []
    server = FaultyServer([answer])
    async with serving(server) as base_url:
        port, transport = await shadowed(base_url, candidate, reports)
        told: object
        try:
            told = await port.authorize(CALL)
        except OutcomeUnknown as failure:
            told = failure
        await port.aclose()
        await transport.aclose()
    assert len(server.requests) == 1
    return told, [report.difference for report in reports]


async def raises(_: AuthorizeCall) -> Outcome:
    raise ZeroDivisionError


async def hangs(_: AuthorizeCall) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def approves(_: AuthorizeCall) -> Outcome:
    return Approved(reference="au_1")


async def approves_another(_: AuthorizeCall) -> Outcome:
    return Approved(reference="au_2")


@pytest.mark.parametrize(
    ("reads", "difference"),
    [
        (approves, SAME),
        (approves_another, "approved differs in reference"),
        (raises, "approved is read as ZeroDivisionError"),
        (hangs, "approved is read as TimeoutError"),
    ],
)
async def test_candidate_is_compared_and_never_disturbs_the_live_answer(
    reads: Callable[[AuthorizeCall], Awaitable[Outcome]], difference: str
) -> None:
    told, reported = await compared(Candidate(reads), http_answer(201, MADE))
    assert told == Approved(reference="au_1")
    assert reported == [difference]


async def test_failure_of_the_live_adapter_is_compared_and_raised() -> None:
    told, reported = await compared(Candidate(approves), http_answer(500, b""))
    assert isinstance(told, OutcomeUnknown)
    assert reported == ["OutcomeUnknown is read as approved"]


async def test_real_candidate_reads_the_same_answer_without_a_call() -> None:
    address = {**SANDBOX, "base_url": "http://127.0.0.1:9"}
    candidate = registry.build("sandbox", address, transport=ReplayTransport())
    told, reported = await compared(candidate.port, http_answer(201, MADE))
    assert told == Approved(reference="au_1")
    assert reported == [SAME]


async def test_call_without_an_answer_is_not_compared() -> None:
    reports: list[ShadowReport] = []
    candidate = Candidate(approves)
    port, transport = await shadowed("http://127.0.0.1:1", candidate, reports)
    with pytest.raises(Exception, match="nothing was sent"):
        await port.authorize(CALL)
    await port.aclose()
    await transport.aclose()
    assert (reports, candidate.asked) == ([], [])


async def test_candidate_that_asks_for_more_is_told_apart() -> None:
    beside = registry.build(
        "sandbox", {**SANDBOX, "base_url": "http://127.0.0.1:9"}, transport=ReplayTransport()
    )

    async def asks_twice(call: AuthorizeCall) -> Outcome:
        await beside.port.authorize(call)
        return await beside.port.authorize(call)

    _, reported = await compared(Candidate(asks_twice), http_answer(201, MADE))
    assert reported == ["approved is read as AskedForMore"]


def test_difference_names_kinds_and_fields_and_no_value() -> None:
    declined = Declined(code="card_declined", message="No.")
    found = Found(answer=Approved(reference="pt_1"), payout_state=PayoutState.PAID)
    returned = found.model_copy(update={"payout_state": PayoutState.RETURNED})
    assert difference(declined, Pending(reference="x")) == "declined is read as pending"
    assert difference(found, returned) == "approved differs in payout_state"
    assert difference(OutcomeUnknown("a"), OutcomeUnknown("b")) == SAME
    unlike = difference(OutcomeUnknown("a"), ProviderAnswerMismatch("a"))
    assert unlike == "OutcomeUnknown is read as ProviderAnswerMismatch"
    assert ProviderOperation.AUTHORIZE not in unlike
