"""Every request of the adapter, written out, and taken by Stripe's own mock, which refuses
parameters that its API does not know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adapters.stripe.adapter import StripeAdapter
from adapters.stripe.client import API_VERSION, StripeClient, path_and_form
from adapters.stripe.config import PayoutWay, StripeConfig
from adapters.stripe.policy import POLICIES, capabilities_of
from adapters.transport import ObservedTransport, ProviderAnswer
from recompense.contracts.provider import (
    AnyMoneyCall,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Declined,
    RefundCall,
    VoidCall,
)
from recompense.domain.ids import IdPrefix, new_id
from tests.support.stripe_mock import running_stripe_mock, stripe_mock_binary

CONFIG = StripeConfig.model_validate(
    {
        "api_key": "sk_test_123",
        "webhook_secrets": ["whsec_1"],
        "return_url": "https://shop.example/",
    }
)
SEVERAL = CONFIG.model_copy(update={"multiple_capture": True})
TRANSFERS = CONFIG.model_copy(update={"payouts": PayoutWay.TRANSFERS})


def parts(prefix: IdPrefix, step: str) -> dict[str, Any]:
    operation_id = new_id(prefix)
    return {
        "operation_id": operation_id,
        "effect_key": f"{operation_id}:{step}:1",
        "amount": 1_000,
        "currency": "EUR",
        # The calls are made when this file is read, long before the last test of a whole run.
        "send_by": datetime.now(UTC) + timedelta(days=1),
    }


def authorization(method: str = "pm_card_visa", **changes: Any) -> AuthorizeCall:
    made = {**parts(IdPrefix.PAYMENT, "authorize"), **changes}
    return AuthorizeCall(**made, token=method, merchant_id="mer_1", description="Two books")


def capture() -> CaptureCall:
    made = parts(IdPrefix.CAPTURE, "capture")
    return CaptureCall(**made, authorization_reference="pi_1", final=False)


def void() -> VoidCall:
    return VoidCall(**parts(IdPrefix.PAYMENT, "authorize.undo"), authorization_reference="pi_1")


def refund() -> RefundCall:
    made = parts(IdPrefix.REFUND, "refund")
    return RefundCall(**made, authorization_reference="pi_1", reason="It was torn.")


def payout(account: str = "ba_1", **changes: Any) -> CreatePayoutCall:
    made = {**parts(IdPrefix.PAYOUT, "payout"), **changes}
    return CreatePayoutCall(**made, token=account, merchant_id="mer_1")


def cancellation() -> CancelPayoutCall:
    return CancelPayoutCall(**parts(IdPrefix.PAYOUT, "payout.undo"), payout_reference="po_1")


CALLS: dict[str, tuple[StripeConfig, AnyMoneyCall]] = {
    "authorize by method": (CONFIG, authorization()),
    "authorize by card token": (CONFIG, authorization("tok_visa")),
    "capture": (CONFIG, capture()),
    "one of several captures": (SEVERAL, capture()),
    "void": (CONFIG, void()),
    "refund": (CONFIG, refund()),
    "payout": (CONFIG, payout()),
    "transfer": (TRANSFERS, payout("acct_1")),
    "cancellation": (CONFIG, cancellation()),
}


def form_of(name: str) -> tuple[str, dict[str, str]]:
    config, call = CALLS[name]
    return path_and_form(call, config)


def test_authorization_is_confirmed_at_once_and_captured_later() -> None:
    path, form = form_of("authorize by method")
    assert path == "/v1/payment_intents"
    assert (form["confirm"], form["capture_method"]) == ("true", "manual")
    assert (form["amount"], form["currency"]) == ("1000", "eur")
    assert (form["payment_method"], form["return_url"]) == ("pm_card_visa", "https://shop.example/")
    assert "payment_method" not in form_of("authorize by card token")[1]


@pytest.mark.parametrize("name", ["authorize by method", "refund", "payout", "transfer"])
def test_what_is_made_carries_our_reference_and_the_effect_key(name: str) -> None:
    form, call = form_of(name)[1], CALLS[name][1]
    assert form["metadata[operation_id]"] == call.operation_id
    assert form["metadata[effect_key]"] == call.effect_key


def test_capture_marks_the_payment_and_says_whether_it_is_final_only_where_there_are_several() -> (
    None
):
    call, form = CALLS["capture"][1], form_of("capture")[1]
    assert form[f"metadata[{call.operation_id}]"] == call.effect_key
    assert "final_capture" not in form
    assert form_of("one of several captures")[1]["final_capture"] == "false"


def test_account_with_multicapture_says_so() -> None:
    assert not capabilities_of(CONFIG).multiple_capture
    assert capabilities_of(SEVERAL).multiple_capture


@pytest.mark.parametrize("name", sorted(CALLS))
def test_names_and_texts_of_metadata_are_within_stripes_limits(name: str) -> None:
    for field, text in form_of(name)[1].items():
        if field.startswith("metadata["):
            assert len(field.removeprefix("metadata[").removesuffix("]")) <= 40
            assert len(text) <= 500


class _Answering(httpx.AsyncBaseTransport):
    """Keeps requests and answers each in the same way."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Keep it."""
        self.requests.append(request)
        return httpx.Response(200, json={})


@pytest_asyncio.fixture
async def transport() -> AsyncIterator[ObservedTransport]:
    made = ObservedTransport(lambda _record: None)
    yield made
    await made.aclose()


@pytest.mark.parametrize("name", sorted(CALLS))
async def test_every_money_call_has_our_key_and_the_pinned_version(
    name: str, transport: ObservedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = _Answering()
    monkeypatch.setattr(transport, "_client", httpx.AsyncClient(transport=answering))
    config, call = CALLS[name]
    client = StripeClient(config, POLICIES, transport)
    await client.move_money(call, lambda answer: answer.status)
    await client.mark(call, lambda answer: answer.status) if name in ("void", "cancellation") else 0
    made, *marks = answering.requests
    assert made.headers["idempotency-key"] == call.effect_key
    assert [mark.headers["idempotency-key"] for mark in marks] in (
        [],
        [f"{call.effect_key}:mark"],
    )
    for request in answering.requests:
        assert request.headers["stripe-version"] == API_VERSION
        assert request.headers["authorization"] == "Bearer sk_test_123"


@pytest.mark.parametrize(
    "call",
    [
        authorization(currency="KWD", amount=1_234),
        authorization(currency="MGA", amount=150),
        payout(currency="HUF", amount=1_050),
        authorization(currency="IQD", amount=1_000),
    ],
)
async def test_amount_that_stripe_cannot_express_is_declined_and_not_sent(
    call: AuthorizeCall | CreatePayoutCall, transport: ObservedTransport
) -> None:
    adapter = StripeAdapter(CONFIG, POLICIES, transport)  # at an address that no test may reach
    made = (
        adapter.authorize(call) if isinstance(call, AuthorizeCall) else adapter.create_payout(call)
    )
    outcome = await made
    assert isinstance(outcome, Declined)
    assert outcome.code == "amount_not_expressible"


async def test_transfer_is_not_canceled(transport: ObservedTransport) -> None:
    outcome = await StripeAdapter(TRANSFERS, POLICIES, transport).cancel_payout(cancellation())
    assert isinstance(outcome, Declined)
    assert outcome.code == "payout_not_cancelable"


@pytest.fixture(scope="module")
def mock_url() -> Iterator[str]:
    binary = stripe_mock_binary()
    if binary is None:
        pytest.skip("stripe-mock is not in the cache, and there is no Go on PATH to build it with")
    with running_stripe_mock(binary) as base_url:
        yield base_url


def at_mock(config: StripeConfig, mock_url: str, transport: ObservedTransport) -> StripeClient:
    address = StripeConfig.model_validate({**config.model_dump(), "base_url": mock_url})
    return StripeClient(address, POLICIES, transport)


def status_of(answer: ProviderAnswer) -> tuple[int, bytes]:
    return answer.status, answer.body[:300] if answer.status >= 400 else b""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.xfail(
                name == "authorize by card token",
                strict=True,
                reason="Stripe's published description leaves cards out of payment_method_data",
            ),
        )
        for name in sorted(CALLS)
    ],
)
async def test_money_call_is_one_that_stripe_knows(
    name: str, mock_url: str, transport: ObservedTransport
) -> None:
    config, call = CALLS[name]
    client = at_mock(config, mock_url, transport)
    assert await client.move_money(call, status_of) == (200, b"")


@pytest.mark.parametrize("name", ["capture", "void", "cancellation"])
async def test_mark_and_read_of_an_object_are_ones_that_stripe_knows(
    name: str, mock_url: str, transport: ObservedTransport
) -> None:
    config, call = CALLS[name]
    client = at_mock(config, mock_url, transport)
    assert await client.mark(call, status_of) == (200, b"")
    assert await client.read_target(call, status_of) == (200, b"")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/payment_intents", {"created[gte]": "1", "limit": "100"}),
        ("/v1/payment_intents", {"starting_after": "pi_1"}),
        ("/v1/payment_intents/search", {"query": "metadata['effect_key']:'pay_1:authorize:1'"}),
        ("/v1/payment_intents/pi_1", {"expand[]": "latest_charge"}),
        ("/v1/refunds", {"created[gte]": "1"}),
        ("/v1/refunds", {"payment_intent": "pi_1"}),
        ("/v1/payouts", {"created[gte]": "1"}),
        ("/v1/transfers", {"transfer_group": "po_1"}),
        (
            "/v1/balance_transactions",
            {"created[gte]": "1", "created[lt]": "2", "limit": "50", "expand[]": "data.source"},
        ),
    ],
)
async def test_read_is_one_that_stripe_knows(
    path: str, query: dict[str, str], mock_url: str, transport: ObservedTransport
) -> None:
    client = at_mock(CONFIG, mock_url, transport)
    assert await client.look_up(path, query, "pay_1:authorize:1", status_of) == (200, b"")


async def test_mock_refuses_what_stripe_does_not_know(
    mock_url: str, transport: ObservedTransport
) -> None:
    client = at_mock(CONFIG, mock_url, transport)
    status, _ = await client.look_up("/v1/payouts", {"made_by": "us"}, "po_1:payout:1", status_of)
    assert status == 400
