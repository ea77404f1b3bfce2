"""Look-ups and refused changes, against a Stripe that answers as a test tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adapters.stripe.adapter import StripeAdapter
from adapters.stripe.config import PayoutWay, StripeConfig
from adapters.stripe.policy import POLICIES
from adapters.transport import ObservedTransport
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    Approved,
    CaptureCall,
    Declined,
    Found,
    Outcome,
    ProviderOperation,
    RefundCall,
    VoidCall,
)
from recompense.domain.failures import OutcomeUnknown, ProviderAnswerMismatch
from recompense.domain.ids import IdPrefix, new_id
from tests.support.stripe_bodies import OPERATION_IDS, error, intent, made_by, payout, refund

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID
Answer = tuple[int, dict[str, Any]]


class FakeStripe:
    """Answers by path; the last of a path's answers stands."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[httpx.Request] = []

    def says(self, path: str, *answers: Answer | dict[str, Any]) -> None:
        """Answer requests to a path, one after the other."""
        self.answers[path] = [
            answer if isinstance(answer, tuple) else (200, answer) for answer in answers
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        queued = self.answers[request.url.path]
        status, body = queued.pop(0) if len(queued) > 1 else queued[0]
        return httpx.Response(status, json=body)

    @property
    def asked(self) -> list[str]:
        """What was asked, in order."""
        return [f"{request.method} {request.url.path}" for request in self.requests]


def listing(*data: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(data), "has_more": more}


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest_asyncio.fixture
async def adapter(
    stripe: FakeStripe, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., StripeAdapter]]:
    transport = ObservedTransport(lambda _record: None)
    client = httpx.AsyncClient(transport=httpx.MockTransport(stripe))
    monkeypatch.setattr(transport, "_client", client)

    def made(**changes: Any) -> StripeAdapter:
        config = {"api_key": "sk_test", "webhook_secrets": ["whsec"], **changes}
        return StripeAdapter(StripeConfig.model_validate(config), POLICIES, transport)

    yield made
    await transport.aclose()


async def look_up(adapter: StripeAdapter, operation: ProviderOperation) -> Found:
    operation_id = OPERATION_IDS[operation]
    return await adapter.lookup(
        operation=operation,
        operation_id=operation_id,
        effect_key=f"{operation_id}:{operation}:1",
        step=operation,
        amount=1_000,
        currency="EUR",
    )


async def test_authorization_is_listed_since_its_id_was_made(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/payment_intents", listing())
    before = datetime.now(UTC)
    operation_id = new_id(IdPrefix.PAYMENT)
    found = await adapter().lookup(
        operation=AUTHORIZE,
        operation_id=operation_id,
        effect_key=f"{operation_id}:authorize:1",
        step="authorize",
    )
    assert found.answer == Absent()
    since = int(stripe.requests[0].url.params["created[gte]"])
    earliest = before - timedelta(minutes=5, seconds=2)
    assert earliest.timestamp() <= since <= before.timestamp()


async def test_list_is_read_page_by_page(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    other = intent(id="pi_other", metadata={})
    stripe.says("/v1/payment_intents", listing(other, more=True), listing(intent()))
    stripe.says("/v1/payment_intents/pi_1", intent())
    assert isinstance((await look_up(adapter(), AUTHORIZE)).answer, Approved)
    assert stripe.requests[1].url.params["starting_after"] == "pi_other"


async def test_authorization_beyond_the_listed_pages_is_searched_for_and_read_afresh(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    other = intent(id="pi_other", metadata={})
    stripe.says("/v1/payment_intents", listing(other, more=True))
    stale = intent(status="processing")
    stripe.says(
        "/v1/payment_intents/search",
        {"object": "search_result", "data": [stale], "has_more": False},
    )
    stripe.says("/v1/payment_intents/pi_1", intent())
    assert isinstance((await look_up(adapter(), AUTHORIZE)).answer, Approved)
    assert stripe.asked[-2:] == [
        "GET /v1/payment_intents/search",
        "GET /v1/payment_intents/pi_1",
    ]


async def test_without_search_what_lies_beyond_the_pages_is_unknown_and_not_absent(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/payment_intents", listing(intent(id="pi_other", metadata={}), more=True))
    for operation in (AUTHORIZE, CAPTURE, VOID):
        with pytest.raises(OutcomeUnknown):
            await look_up(adapter(search_available=False), operation)


@pytest.mark.parametrize("operation", [CAPTURE, VOID])
async def test_change_of_an_older_payment_is_searched_for_by_its_mark(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter], operation: ProviderOperation
) -> None:
    changed = made_by(operation)
    stripe.says(
        "/v1/payment_intents/search",
        {"object": "search_result", "data": [changed], "has_more": False},
    )
    stripe.says("/v1/payment_intents/pi_1", changed)
    assert isinstance((await look_up(adapter(), operation)).answer, Approved)
    key = f"{OPERATION_IDS[operation]}:{operation}:1"
    mark = "cap_1" if operation is CAPTURE else "void:1"
    assert stripe.requests[0].url.params["query"] == f"metadata['{mark}']:'{key}'"


async def test_what_search_does_not_show_yet_is_listed(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says(
        "/v1/payment_intents/search", {"object": "search_result", "data": [], "has_more": False}
    )
    stripe.says("/v1/payment_intents", listing(intent(CAPTURE)))
    stripe.says("/v1/payment_intents/pi_1", intent(CAPTURE))
    assert (await look_up(adapter(), CAPTURE)).answer == Approved(reference="ch_1")


async def test_two_payments_under_one_key_are_a_mismatch(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/payment_intents", listing(intent(), intent(id="pi_2")))
    with pytest.raises(ProviderAnswerMismatch):
        await look_up(adapter(), AUTHORIZE)


async def test_transfer_is_found_by_its_group(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/transfers", listing())
    found = await look_up(adapter(payouts=PayoutWay.TRANSFERS), ProviderOperation.CREATE_PAYOUT)
    assert found.answer == Absent()
    assert stripe.requests[0].url.params["transfer_group"] == "po_1"


def call_of(operation: ProviderOperation) -> AnyMoneyCall:
    operation_id = OPERATION_IDS[operation]
    parts: dict[str, Any] = {
        "operation_id": operation_id,
        "effect_key": f"{operation_id}:{operation}:1",
        "amount": 1_000,
        "currency": "EUR",
        "send_by": datetime.now(UTC) + timedelta(minutes=1),
        "authorization_reference": "pi_1",
    }
    match operation:
        case ProviderOperation.CAPTURE:
            return CaptureCall(**parts, final=True)
        case ProviderOperation.VOID:
            return VoidCall(**parts)
        case _:
            return RefundCall(**parts)


async def made(adapter: StripeAdapter, operation: ProviderOperation) -> Outcome:
    call = call_of(operation)
    match call:
        case CaptureCall():
            return await adapter.capture(call)
        case VoidCall():
            return await adapter.void(call)
        case RefundCall():
            return await adapter.refund(call)
    raise AssertionError(operation)


REFUSED: Answer = (
    400,
    error(type="invalid_request_error", code="payment_intent_unexpected_state"),
)


@pytest.mark.parametrize("shows", [True, False])
async def test_refused_capture_was_made_before_where_the_payment_shows_it(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter], shows: bool
) -> None:
    stripe.says("/v1/payment_intents/pi_1/capture", REFUSED)
    stripe.says(
        "/v1/payment_intents/pi_1", intent(CAPTURE) if shows else intent(CAPTURE, metadata={})
    )
    outcome = await made(adapter(), CAPTURE)
    assert outcome.kind == ("approved" if shows else "declined")
    if isinstance(outcome, Declined):
        assert outcome.code == "payment_not_capturable"


@pytest.mark.parametrize("shows", [True, False])
async def test_refused_refund_was_made_before_where_the_payments_refunds_show_it(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter], shows: bool
) -> None:
    refused = error(type="invalid_request_error", code="charge_already_refunded")
    mine = refund() if shows else refund(metadata={})
    stripe.says("/v1/refunds", (400, refused), listing(mine))
    outcome = await made(adapter(), ProviderOperation.REFUND)
    assert outcome.kind == ("approved" if shows else "declined")
    assert stripe.requests[1].url.params["payment_intent"] == "pi_1"


async def test_void_reads_marks_and_cancels(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    marked = intent(VOID, status="requires_capture")
    stripe.says("/v1/payment_intents/pi_1", intent(), marked)
    stripe.says("/v1/payment_intents/pi_1/cancel", intent(VOID))
    assert await made(adapter(), VOID) == Approved(reference="pi_1")
    assert stripe.asked == [
        "GET /v1/payment_intents/pi_1",
        "POST /v1/payment_intents/pi_1",
        "POST /v1/payment_intents/pi_1/cancel",
    ]


async def test_void_of_what_another_canceled_is_declined_and_leaves_no_mark(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/payment_intents/pi_1", intent(status="canceled"))
    outcome = await made(adapter(), VOID)
    assert isinstance(outcome, Declined)
    assert outcome.code == "already_voided"
    assert len(stripe.requests) == 1


async def test_void_whose_mark_is_not_taken_is_not_asked_for(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/payment_intents/pi_1", intent())
    with pytest.raises(OutcomeUnknown):
        await made(adapter(), VOID)
    assert not any(asked.endswith("/cancel") for asked in stripe.asked)


async def test_void_of_what_stripe_does_not_know_is_declined(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    missing = error(type="invalid_request_error", code="resource_missing")
    stripe.says("/v1/payment_intents/pi_1", (404, missing))
    outcome = await made(adapter(), VOID)
    assert isinstance(outcome, Declined)
    assert outcome.code == "provider_object_not_found"


async def test_stored_500_of_a_key_is_told_by_a_lookup(
    stripe: FakeStripe, adapter: Callable[..., StripeAdapter]
) -> None:
    stripe.says("/v1/refunds", (500, error(type="api_error")))
    with pytest.raises(OutcomeUnknown):
        await made(adapter(), ProviderOperation.REFUND)
    stripe.says("/v1/refunds", listing(refund()))
    found = await look_up(adapter(), ProviderOperation.REFUND)
    assert found.answer == Approved(reference="re_1")


async def test_payout_is_listed(stripe: FakeStripe, adapter: Callable[..., StripeAdapter]) -> None:
    stripe.says("/v1/payouts", listing(payout()))
    found = await look_up(adapter(), ProviderOperation.CREATE_PAYOUT)
    assert found.answer == Approved(reference="po_1")
