"""Each outcome of each operation, and the rules of the vendor that the port leans on."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from adapters.registry import REGISTRATIONS
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    CreatePayoutCall,
    Declined,
    PayoutState,
    Pending,
    ProviderOperation,
    RefundCall,
    RequiresAction,
    VoidCall,
)
from recompense.domain.failures import ProviderAnswerMismatch, ProviderUnavailable
from recompense.domain.ids import IdPrefix
from tests.conformance.cases import HTTP, needs
from tests.conformance.support import AMOUNT, MONEY_OPERATIONS, Bench
from tests.conformance.targets import TARGETS, Effect, Meaning

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID
REFUND = ProviderOperation.REFUND
CREATE_PAYOUT = ProviderOperation.CREATE_PAYOUT


def test_every_registration_has_a_conformance_target() -> None:
    assert {name.partition("@")[0] for name in TARGETS} == set(REGISTRATIONS)


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_call_without_fault_is_taken_with_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    reference = bench.reference_if_made(call, await bench.make(call))
    assert reference is not None
    assert bench.effects(call) == [Effect(call.amount, call.currency)]
    if bench.target.capabilities.lookup_by_reference:
        found = await bench.look_up(call)
        assert bench.reference_if_made(call, found.answer) == reference


@needs("lookup_by_reference")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", ["decline", "insufficient_funds"])
async def test_decline_is_declined_without_effect(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault) as meeting:
        outcome = await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    assert isinstance(outcome, Declined)
    assert bench.effects(call) == []
    assert (await bench.look_up(call)).answer == outcome
    assert await bench.make(call) == outcome


@needs("lookup_by_reference")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", ["pending"])
async def test_pending_call_comes_true_by_itself(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault, delay_ms=300) as meeting:
        outcome = await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    assert isinstance(outcome, Pending)
    assert bench.effects(call) == []
    found = await bench.found(call, lambda found: isinstance(found.answer, Approved))
    assert bench.reference_if_made(call, found.answer) == outcome.reference
    assert len(bench.effects(call)) == 1


@needs("lookup_by_reference")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", ["unknown_status"])
async def test_unknown_status_is_pending_and_never_final(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    async with bench.meeting(call, fault) as meeting:
        outcome = await bench.make(call, meeting.adapter)
        meeting.assert_fired()
    assert isinstance(outcome, Pending)
    assert len(bench.effects(call)) == 1
    found = await bench.look_up(call)
    assert bench.reference_if_made(call, found.answer) == outcome.reference


@needs(AUTHORIZE, Meaning.ACTION, "lookup_by_reference")
@pytest.mark.parametrize("succeed", [True, False])
async def test_payer_action_decides_the_authorization(bench: Bench, succeed: bool) -> None:
    call = await _authorize(bench, Meaning.ACTION)
    outcome = await bench.make(call)
    assert isinstance(outcome, RequiresAction)
    before = await bench.look_up(call)
    assert before.authorization_state is AuthorizationState.REQUIRES_ACTION
    bench.target.act(outcome.redirect_url, succeed=succeed)
    kind = Approved if succeed else Declined
    await bench.found(call, lambda found: isinstance(found.answer, kind))
    assert len(bench.effects(call)) == (1 if succeed else 0)


@needs(AUTHORIZE, VOID, Meaning.ACTION, "lookup_by_reference", "at_once:void")
async def test_void_of_unfinished_payer_action_leaves_a_declined_authorization(
    bench: Bench,
) -> None:
    call = await _authorize(bench, Meaning.ACTION)
    asked = await bench.make(call)
    assert isinstance(asked, RequiresAction)
    parts = bench.parts(IdPrefix.PAYMENT, "void")
    void = VoidCall(**parts, authorization_reference=asked.reference)
    assert isinstance(await bench.make(void), Approved)
    found = await bench.look_up(call)
    assert isinstance(found.answer, Declined)
    assert found.authorization_state is AuthorizationState.VOIDED
    assert bench.effects(call) == []
    assert bench.effects(void) == []


@needs(AUTHORIZE, Meaning.DECLINED)
async def test_declined_token_is_declined(bench: Bench) -> None:
    call = await _authorize(bench, Meaning.DECLINED)
    assert isinstance(await bench.make(call), Declined)
    assert bench.effects(call) == []


@needs(AUTHORIZE, Meaning.LOST_ONCE, "lookup_by_reference", "native_idempotency")
async def test_lost_once_token_is_found_by_lookup(bench: Bench) -> None:
    call = await _authorize(bench, Meaning.LOST_ONCE)
    hasty = bench.adapter({"read_timeout_seconds": 0.25})
    with pytest.raises(Exception, match="may have gone out"):
        await bench.make(call, hasty)
    assert isinstance((await bench.look_up(call)).answer, Approved)
    assert isinstance(await bench.make(call), Approved)
    assert len(bench.effects(call)) == 1


@needs(CAPTURE, VOID, "multiple_capture", "void_after_partial_capture", "at_once:capture")
async def test_partial_captures_and_void_of_the_rest_add_up(bench: Bench) -> None:
    authorization = await bench.authorized()
    first = await bench.make(_capture(bench, authorization, 300))
    second = await bench.make(_capture(bench, authorization, 200))
    over = await bench.make(_capture(bench, authorization, 501))
    assert [type(first), type(second), type(over)] == [Approved, Approved, Declined]
    parts = bench.parts(IdPrefix.PAYMENT, "void", amount=500)
    void = VoidCall(**parts, authorization_reference=authorization)
    await bench.done(void)
    assert [effect.amount for effect in bench.effects(void)] == [500]
    late = await bench.make(_capture(bench, authorization, 1))
    assert isinstance(late, Declined)


@needs(CAPTURE, "partial_capture", "at_once:capture")
async def test_final_capture_releases_the_rest(bench: Bench) -> None:
    authorization = await bench.authorized()
    first = _capture(bench, authorization, 300, final=True)
    await bench.done(first)
    assert [effect.amount for effect in bench.effects(first)] == [300]
    assert isinstance(await bench.make(_capture(bench, authorization, 1)), Declined)


@needs(CAPTURE, "at_once:capture")
async def test_capture_above_the_authorized_amount_is_declined(bench: Bench) -> None:
    authorization = await bench.authorized()
    over = _capture(bench, authorization, AMOUNT + 1, final=True)
    assert isinstance(await bench.make(over), Declined)
    assert bench.effects(over) == []


@needs(REFUND, "partial_refund", "at_once:refund")
async def test_refund_above_the_captured_amount_is_declined(bench: Bench) -> None:
    authorization = await bench.authorized()
    capture = await bench.done(_capture(bench, authorization, 300, final=True))
    over, part, rest = (_refund(bench, authorization, amount) for amount in (301, 100, 201))
    assert isinstance(await bench.make(over), Declined)
    assert isinstance(await bench.make(part), Approved)
    assert isinstance(await bench.make(rest), Declined)
    narrowed = _refund(bench, authorization, 200, capture_reference=capture)
    assert isinstance(await bench.make(narrowed), Approved)
    assert isinstance(await bench.make(_refund(bench, authorization, 1)), Declined)


@needs(VOID, "at_once:void")
async def test_void_after_void_under_another_key_is_declined_as_done_already(bench: Bench) -> None:
    call = await bench.prepared(VOID)
    assert isinstance(call, VoidCall)
    await bench.done(call)
    again = call.model_copy(update={"effect_key": f"{call.effect_key}0"})
    outcome = await bench.make(again)
    assert isinstance(outcome, Declined)
    assert outcome.code == "already_voided"


@needs(CREATE_PAYOUT, "lookup_by_reference")
async def test_payout_arrives_and_lookup_tells(bench: Bench) -> None:
    call = await _payout(bench, Meaning.GOOD_ACCOUNT)
    assert bench.reference_if_made(call, await bench.make(call)) is not None
    bench.target.settle(call)
    found = await bench.found(call, lambda found: found.payout_state is PayoutState.PAID)
    assert found.answer.kind == "approved"


@needs(CREATE_PAYOUT, Meaning.RETURNED_ACCOUNT, "lookup_by_reference")
async def test_returned_payout_is_approved_and_returned(bench: Bench) -> None:
    call = await _payout(bench, Meaning.RETURNED_ACCOUNT)
    assert bench.reference_if_made(call, await bench.make(call)) is not None
    bench.target.settle(call)
    found = await bench.found(call, lambda found: found.payout_state is PayoutState.RETURNED)
    assert found.answer.kind == "approved"
    assert len(bench.effects(call)) == 1


@needs(CREATE_PAYOUT, Meaning.CLOSED_ACCOUNT, "lookup_by_reference")
async def test_payout_to_closed_account_is_declined_and_failed(bench: Bench) -> None:
    call = await _payout(bench, Meaning.CLOSED_ACCOUNT)
    outcome = await bench.make(call)
    if not isinstance(outcome, Declined):
        assert isinstance(outcome, Pending)
        bench.target.settle(call)
    found = await bench.found(call, lambda found: found.payout_state is PayoutState.FAILED)
    assert isinstance(found.answer, Declined)


@needs(CREATE_PAYOUT, ProviderOperation.CANCEL_PAYOUT, "pending", "lookup_by_reference")
async def test_pending_payout_is_cancelled_and_a_paid_one_is_not(bench: Bench) -> None:
    early = await bench.prepared(CREATE_PAYOUT)
    async with bench.meeting(early, "pending", delay_ms=60_000) as meeting:
        pending = await bench.make(early, meeting.adapter)
    assert isinstance(pending, Pending)
    assert isinstance(await bench.make(_cancel(bench, pending.reference)), Approved)
    assert (await bench.look_up(early)).payout_state is PayoutState.CANCELED
    late = await bench.prepared(CREATE_PAYOUT)
    paid = await bench.make(late)
    assert isinstance(paid, Pending)
    await bench.found(late, lambda found: found.payout_state is PayoutState.PAID)
    assert isinstance(await bench.make(_cancel(bench, paid.reference)), Declined)


@needs("native_idempotency")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_same_effect_key_again_is_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    references = {bench.reference_if_made(call, await bench.make(call)) for _ in range(3)}
    assert len(references) == 1
    assert None not in references
    assert len(bench.effects(call)) == 1


@needs("native_idempotency")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_same_effect_key_at_once_is_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    outcomes = await asyncio.gather(*(bench.make(call) for _ in range(8)), return_exceptions=True)
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert any(bench.reference_if_made(call, outcome) is not None for outcome in answered)
    assert len(bench.effects(call)) == 1


@needs("native_idempotency")
async def test_effect_key_with_another_amount_is_a_mismatch(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    await bench.make(call)
    with pytest.raises(ProviderAnswerMismatch):
        await bench.make(call.model_copy(update={"amount": AMOUNT + 1}))
    assert bench.effects(call) == [Effect(AMOUNT, call.currency)]


@needs("lookup_by_reference")
async def test_lookup_for_another_amount_is_a_mismatch(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    await bench.make(call)
    with pytest.raises(ProviderAnswerMismatch):
        await bench.look_up(call.model_copy(update={"amount": AMOUNT + 1}))


@needs("lookup_by_reference")
@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_lookup_of_what_was_never_sent_is_absent(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    assert (await bench.look_up(call)).answer == Absent()


@needs("lookup_by_reference")
async def test_lookup_of_another_attempt_is_absent(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    await bench.make(call)
    other = call.model_copy(update={"effect_key": f"{call.effect_key.removesuffix('1')}2"})
    assert (await bench.look_up(other)).answer == Absent()


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_call_after_its_send_right_is_not_sent(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    late = call.model_copy(update={"send_by": datetime.now(UTC) - timedelta(seconds=1)})
    with pytest.raises(ProviderUnavailable, match="send right"):
        await bench.make(late)
    assert bench.effects(call) == []


@needs(HTTP)
async def test_every_call_is_recorded_without_its_token(bench: Bench) -> None:
    call = await bench.prepared(bench.any_operation)
    outcome = await bench.make(call)
    record = bench.records[-1]
    assert (record.provider, record.operation) == (bench.target.provider, call.operation)
    assert (record.effect_key, record.outcome) == (call.effect_key, outcome.kind)
    assert record.status is not None
    assert 200 <= record.status < 300
    assert not any(
        token in record.model_dump_json()
        for meaning, token in bench.target.tokens.items()
        if meaning in (Meaning.GOOD, Meaning.GOOD_ACCOUNT)
    )


@needs("settlement_report", CAPTURE)
async def test_settlement_report_is_streamed_and_an_unwritten_one_is_unavailable(
    bench: Bench,
) -> None:
    call = await bench.prepared(CAPTURE)
    await bench.done(call)
    day = date(2024, 2, 29)
    bench.target.write_report(day)
    chunks = [chunk async for chunk in bench.adapter().fetch_settlement_report(day)]
    assert bench.target.in_report(call).encode() in b"".join(chunks)
    with pytest.raises(ProviderUnavailable):
        async for _ in bench.adapter().fetch_settlement_report(date(1999, 1, 1)):
            pass


async def _authorize(bench: Bench, meaning: Meaning) -> AuthorizeCall:
    call = await bench.prepared(AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    return call.model_copy(update={"token": bench.target.tokens[meaning]})


async def _payout(bench: Bench, meaning: Meaning) -> CreatePayoutCall:
    call = await bench.prepared(CREATE_PAYOUT)
    assert isinstance(call, CreatePayoutCall)
    return call.model_copy(update={"token": bench.target.tokens[meaning]})


def _capture(bench: Bench, authorization: str, amount: int, *, final: bool = False) -> CaptureCall:
    parts = bench.parts(IdPrefix.CAPTURE, "capture", amount=amount)
    return CaptureCall(**parts, authorization_reference=authorization, final=final)


def _refund(
    bench: Bench, authorization: str, amount: int, *, capture_reference: str | None = None
) -> RefundCall:
    return RefundCall(
        **bench.parts(IdPrefix.REFUND, "refund", amount=amount),
        authorization_reference=authorization,
        capture_reference=capture_reference,
    )


def _cancel(bench: Bench, payout: str) -> CancelPayoutCall:
    parts = bench.parts(IdPrefix.PAYOUT, "cancel")
    return CancelPayoutCall(**parts, payout_reference=payout)
