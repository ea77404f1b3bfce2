"""What is Adyen's alone: a payer who acts, modifications that fail, and what is taken back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from adapters.adyen.adapter import AdyenAdapter
from adapters.transport import ObservedTransport
from recompense.contracts.payer_actions import CompleteCall
from recompense.contracts.port_extras import CompletesActions
from recompense.contracts.provider import (
    Approved,
    AuthorizeCall,
    CaptureCall,
    Declined,
    Pending,
    ProviderOperation,
    RequiresAction,
    VoidCall,
)
from recompense.contracts.settlement import SettlementKind
from recompense.domain.effects import further_key
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable
from recompense.domain.ids import IdPrefix
from tests.conformance.support import Bench
from tests.conformance.targets import Meaning, Target
from tests.conformance.vendors.adyen import REVERSAL, AdyenTarget
from tests.support.adyen.description import NotAtHand, description
from tests.support.adyen.server import running_adyen
from tests.support.adyen.vendor import UNNAMED_CARD
from tests.support.fault_proxy import FaultProxy, faulty


@pytest.fixture(scope="module")
def adyen() -> Iterator[Target]:
    """A stand-in of this module's own."""
    with running_adyen() as live:
        yield AdyenTarget(live)


@pytest_asyncio.fixture
async def adyen_bench(adyen: Target) -> AsyncIterator[Bench]:
    """The adapter and its stand-in."""
    transport = ObservedTransport(lambda _record: None)
    yield Bench(adyen, transport, [])
    await transport.aclose()


def test_stand_in_is_held_to_adyens_own_description() -> None:
    """Without npm the stand-in still works, and nobody has checked it."""
    try:
        documents = description().documents
    except NotAtHand as missing:
        pytest.fail(f"Adyen's API description is not at hand: {missing}. Install npm.")
    assert documents["checkout"]["info"]["version"] == "71"
    assert documents["transfers"]["info"]["version"] == "4"


@pytest.mark.parametrize("succeed", [True, False])
async def test_payer_who_acts_is_told_by_notification(adyen_bench: Bench, succeed: bool) -> None:
    call = await adyen_bench.prepared(ProviderOperation.AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    call = call.model_copy(update={"token": adyen_bench.target.tokens[Meaning.ACTION]})
    asked = await adyen_bench.make(call)
    assert isinstance(asked, RequiresAction)
    assert (await adyen_bench.look_up(call)).answer.kind == "absent"
    adyen_bench.target.act(asked.redirect_url, succeed=succeed)
    found = await adyen_bench.look_up(call)
    assert isinstance(found.answer, Approved if succeed else Declined)
    assert len(adyen_bench.effects(call)) == (1 if succeed else 0)


async def word_of_payer(
    bench: Bench, *, succeed: bool = True
) -> tuple[AuthorizeCall, CompleteCall]:
    """A payment that waits for its payer, and the call that hands over what was brought back."""
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    call = call.model_copy(update={"token": bench.target.tokens[Meaning.ACTION]})
    asked = await bench.make(call)
    assert isinstance(asked, RequiresAction)
    return call, CompleteCall(
        **bench.parts(IdPrefix.PAYMENT, "authorize")
        | {"operation_id": call.operation_id, "effect_key": call.effect_key},
        idempotency_key=further_key(call.effect_key, "payer.1"),
        parameters=bench.target.brings_back(asked.redirect_url, succeed=succeed),
    )


async def handed_over(bench: Bench, word: CompleteCall, base_url: str | None = None) -> object:
    adapter = bench.adapter(base_url=base_url)
    assert isinstance(adapter, CompletesActions)
    return await adapter.complete_action(word)


@pytest.mark.parametrize("succeed", [True, False])
async def test_payer_s_word_decides_once_under_any_key(adyen_bench: Bench, succeed: bool) -> None:
    call, word = await word_of_payer(adyen_bench, succeed=succeed)
    other = word.model_copy(update={"idempotency_key": further_key(call.effect_key, "payer.2")})
    outcomes = [await handed_over(adyen_bench, one) for one in (word, word, other)]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert isinstance(outcomes[0], Approved if succeed else Declined)
    assert isinstance((await adyen_bench.look_up(call)).answer, type(outcomes[0]))
    assert len(adyen_bench.effects(call)) == (1 if succeed else 0)


async def test_payer_s_word_that_nobody_knows_is_not_taken(adyen_bench: Bench) -> None:
    call, word = await word_of_payer(adyen_bench)
    made_up = word.model_copy(update={"parameters": {"redirectResult": "made up"}})
    assert await handed_over(adyen_bench, made_up) is None
    assert adyen_bench.effects(call) == []


async def test_payer_s_word_is_not_handed_over_after_its_send_right(adyen_bench: Bench) -> None:
    call, word = await word_of_payer(adyen_bench)
    late = word.model_copy(update={"send_by": datetime.now(UTC) - timedelta(seconds=1)})
    with pytest.raises(ProviderUnavailable):
        await handed_over(adyen_bench, late)
    assert adyen_bench.effects(call) == []


@pytest.mark.parametrize(
    ("fault", "failure", "made"),
    [
        ("reset_before", OutcomeUnknown, 0),
        ("unavailable", OutcomeUnknown, 0),
        ("rate_limited", ProviderUnavailable, 0),
        ("reset_after", OutcomeUnknown, 1),
        ("error_after", OutcomeUnknown, 1),
        ("malformed", OutcomeUnknown, 1),
    ],
)
async def test_lost_answer_to_a_payer_s_word_is_learnt_by_the_same_key(
    adyen_bench: Bench, fault: str, failure: type[Exception], made: int
) -> None:
    call, word = await word_of_payer(adyen_bench)
    proxy = FaultProxy(adyen_bench.target.base_url or "", fault, adyen_bench.target.moves_money)
    async with faulty(proxy) as base_url:
        with pytest.raises(failure):
            await handed_over(adyen_bench, word, base_url)
        assert (proxy.fired, len(adyen_bench.effects(call))) == (1, made)
        assert isinstance(await handed_over(adyen_bench, word, base_url), Approved)
    assert len(adyen_bench.effects(call)) == 1


@pytest.mark.parametrize("acted", [True, False])
async def test_void_of_a_payment_that_adyen_has_not_named_goes_by_our_reference(
    adyen_bench: Bench, acted: bool
) -> None:
    call = await adyen_bench.prepared(ProviderOperation.AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    call = call.model_copy(update={"token": f"{UNNAMED_CARD}:shopper_1"})
    asked = await adyen_bench.make(call)
    assert isinstance(asked, RequiresAction)
    if acted:
        adyen_bench.target.act(asked.redirect_url, succeed=True)
    void = VoidCall(
        **adyen_bench.parts(IdPrefix.PAYMENT, "void"), authorization_reference=asked.reference
    )
    assert isinstance(await adyen_bench.make(void), Pending)
    found = await adyen_bench.look_up(void)
    assert isinstance(found.answer, Approved if acted else Declined)
    assert len(adyen_bench.effects(void)) == (1 if acted else 0)


async def test_refused_modification_is_pending_first_and_then_declined(adyen_bench: Bench) -> None:
    over = CaptureCall(
        **adyen_bench.parts(IdPrefix.CAPTURE, "capture", amount=1_001),
        authorization_reference=await adyen_bench.authorized(),
        final=True,
    )
    assert isinstance(await adyen_bench.make(over), Pending)
    found = await adyen_bench.look_up(over)
    assert isinstance(found.answer, Declined)
    assert found.answer.code == "capture_declined"
    assert adyen_bench.effects(over) == []


async def test_modification_of_an_unknown_payment_is_refused(adyen_bench: Bench) -> None:
    call = CaptureCall(
        **adyen_bench.parts(IdPrefix.CAPTURE, "capture"),
        authorization_reference="NOSUCHPAYMENT",
        final=True,
    )
    outcome = await adyen_bench.make(call)
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.provider_code) == ("provider_refused_request", "167")


@pytest.mark.parametrize("operation", [ProviderOperation.CAPTURE, ProviderOperation.REFUND])
async def test_what_is_taken_back_is_declined_from_then_on(
    adyen_bench: Bench, operation: ProviderOperation
) -> None:
    call = await adyen_bench.prepared(operation)
    await adyen_bench.done(call)
    adyen_bench.target.arm(operation, REVERSAL, reference=call.operation_id)
    found = await adyen_bench.look_up(call)
    assert isinstance(found.answer, Declined)
    assert found.answer.code == f"{operation.value}_reversed"


@pytest.mark.parametrize(
    ("token", "code"),
    [("GOODCARD00000001", "invalid_token"), (":shopper_1", "invalid_token")],
)
async def test_token_that_names_no_shopper_is_refused_unsent(
    adyen_bench: Bench, token: str, code: str
) -> None:
    call = await adyen_bench.prepared(ProviderOperation.AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    outcome = await adyen_bench.make(call.model_copy(update={"token": token}))
    assert isinstance(outcome, Declined)
    assert outcome.code == code
    assert adyen_bench.effects(call) == []


async def test_amount_that_adyen_does_not_count_is_refused_unsent(adyen_bench: Bench) -> None:
    call = await adyen_bench.prepared(ProviderOperation.AUTHORIZE)
    outcome = await adyen_bench.make(call.model_copy(update={"amount": 12_345, "currency": "IDR"}))
    assert isinstance(outcome, Declined)
    assert outcome.code == "amount_not_expressible"
    assert adyen_bench.effects(call) == []


def test_request_that_does_not_fit_the_description_is_refused_and_told() -> None:
    """The stand-in can fail: what the description does not know never passes silently."""
    body = {"merchantAccount": "A", "amount": {"value": 1, "currency": "EUR"}, "strange": 1}
    with running_adyen() as live:
        status, _ = live.answer("/checkout/v71/payments/P1/captures", "key", body)
        told = list(live.vendor.violations)
        live.vendor.violations.clear()
    assert live.described is None or (status, "strange" in "".join(told)) == (422, True)


async def test_report_is_read_as_it_was_streamed(adyen_bench: Bench) -> None:
    call = await adyen_bench.prepared(ProviderOperation.REFUND)
    await adyen_bench.done(call)
    day = date(2024, 2, 29)
    adapter = adyen_bench.adapter()
    assert isinstance(adapter, AdyenAdapter)
    chunks = [chunk async for chunk in adapter.fetch_settlement_report(day)]
    lines = {line.effect_key: line for line in adapter.read_settlement_report(chunks, day)}
    line = lines[call.effect_key]
    assert (line.kind, line.amount, line.net) == (SettlementKind.REFUND, call.amount, -call.amount)
