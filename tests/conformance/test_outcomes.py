"""Each outcome of each operation, and the rules of the vendor that the port leans on."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from adapters.registry import REGISTRATIONS
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    Approved,
    AuthorizationState,
    AuthorizeCall,
    CancelPayoutCall,
    CaptureCall,
    Declined,
    LookupAnswer,
    PayoutState,
    Pending,
    ProviderOperation,
    RefundCall,
    RequiresAction,
    VoidCall,
)
from recompense.domain.failures import ProviderAnswerMismatch, ProviderUnavailable
from recompense.domain.ids import IdPrefix
from tests.conformance.support import AMOUNT, MONEY_OPERATIONS, Bench, call_parts, reference_if_made
from tests.conformance.targets import TARGETS


def test_every_registration_has_a_conformance_target() -> None:
    assert set(TARGETS) == set(REGISTRATIONS)


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_call_without_fault_is_approved_with_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    reference = reference_if_made(call, await bench.make(call))
    assert reference is not None
    [effect] = bench.effects(call)
    assert (effect["amount"], effect["currency"]) == (call.amount, call.currency)
    found = await bench.look_up(call)
    assert reference_if_made(call, found.answer) == reference


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
@pytest.mark.parametrize("fault", ["decline", "insufficient_funds"])
async def test_decline_is_declined_without_effect(
    bench: Bench, operation: ProviderOperation, fault: str
) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, fault)
    outcome = await bench.make(call)
    bench.assert_fired()
    assert isinstance(outcome, Declined)
    assert bench.effects(call) == []
    assert (await bench.look_up(call)).answer == outcome
    assert await bench.make(call) == outcome


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_pending_call_comes_true_by_itself(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, "pending", delay_ms=300)
    outcome = await bench.make(call)
    bench.assert_fired()
    assert isinstance(outcome, Pending)
    assert bench.effects(call) == []
    found = await _eventually(bench, call, Approved)
    assert found.reference == outcome.reference
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_unknown_status_is_pending_and_never_final(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    bench.arm(call, "unknown_status")
    outcome = await bench.make(call)
    bench.assert_fired()
    assert isinstance(outcome, Pending)
    assert len(bench.effects(call)) == 1
    assert reference_if_made(call, (await bench.look_up(call)).answer) == outcome.reference


@pytest.mark.parametrize("result", ["succeed", "fail"])
async def test_payer_action_decides_the_authorization(bench: Bench, result: str) -> None:
    call = await _authorize(bench, bench.target.action_token)
    outcome = await bench.make(call)
    assert isinstance(outcome, RequiresAction)
    before = await bench.look_up(call)
    assert before.authorization_state is AuthorizationState.REQUIRES_ACTION
    httpx.post(outcome.redirect_url, json={"result": result}, trust_env=False).raise_for_status()
    after = await bench.look_up(call)
    assert isinstance(after.answer, Approved if result == "succeed" else Declined)
    assert len(bench.effects(call)) == (1 if result == "succeed" else 0)


async def test_void_of_unfinished_payer_action_leaves_a_declined_authorization(
    bench: Bench,
) -> None:
    call = await _authorize(bench, bench.target.action_token)
    asked = await bench.make(call)
    assert isinstance(asked, RequiresAction)
    void = VoidCall(**call_parts(IdPrefix.PAYMENT, "void"), authorization_reference=asked.reference)
    assert isinstance(await bench.make(void), Approved)
    found = await bench.look_up(call)
    assert isinstance(found.answer, Declined)
    assert found.authorization_state is AuthorizationState.VOIDED
    assert bench.effects(void) == []


async def test_declined_token_is_declined(bench: Bench) -> None:
    call = await _authorize(bench, bench.target.declined_token)
    assert isinstance(await bench.make(call), Declined)


async def test_lost_once_token_is_found_by_lookup(bench: Bench) -> None:
    call = await _authorize(bench, "tok_timeout_once")
    hasty = bench.adapter({"read_timeout_seconds": 0.25})
    with pytest.raises(Exception, match="may have gone out"):
        await bench.make(call, hasty)
    assert isinstance((await bench.look_up(call)).answer, Approved)
    assert isinstance(await bench.make(call), Approved)
    assert len(bench.effects(call)) == 1


async def test_partial_captures_and_void_of_the_rest_add_up(bench: Bench) -> None:
    authorization = await bench.authorized()
    first = await bench.make(_capture(authorization, 300))
    second = await bench.make(_capture(authorization, 200))
    over = await bench.make(_capture(authorization, 501))
    parts = call_parts(IdPrefix.PAYMENT, "void") | {"amount": 500}
    void = VoidCall(**parts, authorization_reference=authorization)
    assert [type(first), type(second), type(over)] == [Approved, Approved, Declined]
    assert isinstance(await bench.make(void), Approved)
    assert [effect["amount"] for effect in bench.effects(void)] == [500]
    late = await bench.make(_capture(authorization, 1))
    assert isinstance(late, Declined)


async def test_final_capture_releases_the_rest(bench: Bench) -> None:
    authorization = await bench.authorized()
    assert isinstance(await bench.make(_capture(authorization, 300, final=True)), Approved)
    assert isinstance(await bench.make(_capture(authorization, 1)), Declined)


async def test_refund_above_the_captured_amount_is_declined(bench: Bench) -> None:
    authorization = await bench.authorized()
    capture = await bench.make(_capture(authorization, 300))
    assert isinstance(capture, Approved)
    over, part, rest = (_refund(authorization, amount) for amount in (301, 100, 201))
    assert isinstance(await bench.make(over), Declined)
    assert isinstance(await bench.make(part), Approved)
    assert isinstance(await bench.make(rest), Declined)
    narrowed = _refund(authorization, 200, capture_reference=capture.reference)
    assert isinstance(await bench.make(narrowed), Approved)
    assert isinstance(await bench.make(_refund(authorization, 1)), Declined)


async def test_void_after_void_under_another_key_is_declined_as_done_already(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.VOID)
    assert isinstance(call, VoidCall)
    assert isinstance(await bench.make(call), Approved)
    again = call.model_copy(update={"effect_key": f"{call.effect_key}0"})
    outcome = await bench.make(again)
    assert isinstance(outcome, Declined)
    assert outcome.code == "already_voided"


async def test_payout_arrives_and_lookup_tells(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    assert isinstance(await bench.make(call), Pending)
    assert (await _payout_state(bench, call, PayoutState.PAID)).kind == "approved"


async def test_returned_payout_is_approved_and_returned(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    call = call.model_copy(update={"token": "tok_returned"})
    assert isinstance(await bench.make(call), Pending)
    assert (await _payout_state(bench, call, PayoutState.RETURNED)).kind == "approved"
    assert len(bench.effects(call)) == 1


async def test_payout_to_closed_account_is_declined(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    call = call.model_copy(update={"token": "tok_closed_account"})
    outcome = await bench.make(call)
    assert isinstance(outcome, Declined)
    assert (await bench.look_up(call)).payout_state is PayoutState.FAILED


async def test_pending_payout_is_cancelled_and_a_paid_one_is_not(bench: Bench) -> None:
    early = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    bench.arm(early, "pending", delay_ms=60_000)
    pending = await bench.make(early)
    assert isinstance(pending, Pending)
    assert isinstance(await bench.make(_cancel(pending.reference)), Approved)
    assert (await bench.look_up(early)).payout_state is PayoutState.CANCELED
    late = await bench.prepared(ProviderOperation.CREATE_PAYOUT)
    paid = await bench.make(late)
    assert isinstance(paid, Pending)
    await _payout_state(bench, late, PayoutState.PAID)
    assert isinstance(await bench.make(_cancel(paid.reference)), Declined)


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_same_effect_key_again_is_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    references = {reference_if_made(call, await bench.make(call)) for _ in range(3)}
    assert len(references) == 1
    assert None not in references
    assert len(bench.effects(call)) == 1


@pytest.mark.parametrize("operation", MONEY_OPERATIONS)
async def test_same_effect_key_at_once_is_one_effect(
    bench: Bench, operation: ProviderOperation
) -> None:
    call = await bench.prepared(operation)
    outcomes = await asyncio.gather(*(bench.make(call) for _ in range(8)), return_exceptions=True)
    answered = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert any(reference_if_made(call, outcome) is not None for outcome in answered)
    assert len(bench.effects(call)) == 1


async def test_effect_key_with_another_amount_is_a_mismatch(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    await bench.make(call)
    with pytest.raises(ProviderAnswerMismatch):
        await bench.make(call.model_copy(update={"amount": AMOUNT + 1}))
    assert len(bench.effects(call)) == 1


async def test_lookup_for_another_amount_is_a_mismatch(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    await bench.make(call)
    with pytest.raises(ProviderAnswerMismatch):
        await bench.look_up(call.model_copy(update={"amount": AMOUNT + 1}))


async def test_lookup_of_what_was_never_sent_is_absent(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    assert (await bench.look_up(call)).answer == Absent()


async def test_lookup_of_another_attempt_is_absent(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    await bench.make(call)
    other = call.model_copy(update={"effect_key": f"{call.operation_id}:authorize:2"})
    assert (await bench.look_up(other)).answer == Absent()


async def test_call_after_its_send_right_is_not_sent(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    late = call.model_copy(update={"send_by": datetime.now(UTC) - timedelta(seconds=1)})
    with pytest.raises(ProviderUnavailable, match="send right"):
        await bench.make(late)
    assert (await bench.look_up(call)).answer == Absent()


async def test_every_call_is_recorded_without_its_token(bench: Bench) -> None:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    outcome = await bench.make(call)
    [record] = bench.records
    assert (record.provider, record.operation) == (bench.target.name, ProviderOperation.AUTHORIZE)
    assert (record.effect_key, record.outcome) == (call.effect_key, outcome.kind)
    assert record.status == 201
    assert bench.target.good_token not in record.model_dump_json()


async def test_settlement_report_is_streamed_and_an_unwritten_one_is_unavailable(
    bench: Bench,
) -> None:
    call = await bench.prepared(ProviderOperation.CAPTURE)
    await bench.make(call)
    day = date(2024, 2, 29)
    bench.target.vendor.http.post("/_control/settle", json={"date": day.isoformat()})
    chunks = [chunk async for chunk in bench.adapter().fetch_settlement_report(day)]
    assert call.effect_key in b"".join(chunks).decode()
    with pytest.raises(ProviderUnavailable):
        async for _ in bench.adapter().fetch_settlement_report(date(1999, 1, 1)):
            pass


async def _authorize(bench: Bench, token: str) -> AuthorizeCall:
    call = await bench.prepared(ProviderOperation.AUTHORIZE)
    assert isinstance(call, AuthorizeCall)
    return call.model_copy(update={"token": token})


def _capture(authorization: str, amount: int, *, final: bool = False) -> CaptureCall:
    parts = call_parts(IdPrefix.CAPTURE, "capture") | {"amount": amount}
    return CaptureCall(**parts, authorization_reference=authorization, final=final)


def _refund(authorization: str, amount: int, *, capture_reference: str | None = None) -> RefundCall:
    parts = call_parts(IdPrefix.REFUND, "refund") | {"amount": amount}
    return RefundCall(
        **parts, authorization_reference=authorization, capture_reference=capture_reference
    )


def _cancel(payout: str) -> CancelPayoutCall:
    return CancelPayoutCall(**call_parts(IdPrefix.PAYOUT, "cancel"), payout_reference=payout)


async def _eventually(bench: Bench, call: AnyMoneyCall, kind: type[Approved]) -> Approved:
    for _ in range(400):
        answer = (await bench.look_up(call)).answer
        if isinstance(answer, kind):
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError("the pending call never came true")


async def _payout_state(bench: Bench, call: AnyMoneyCall, state: PayoutState) -> LookupAnswer:
    for _ in range(400):
        found = await bench.look_up(call)
        if found.payout_state is state:
            return found.answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"the payout never was {state}")
