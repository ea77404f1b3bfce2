"""What sagas do to the database, step by step: each story calls in-house activities in the order in
which its workflow does, with the provider's answers made up.

What comes before a story's own steps is given. `tests.support.story_list` names them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from recompense.contracts.provider import (
    Approved,
    Declined,
    PayoutState,
    Pending,
    RequiresAction,
)
from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    ProviderEventInput,
    RefundInput,
    Resolution,
    ResolveDecision,
    SagaRef,
    VoidInput,
)
from recompense.contracts.steps import (
    AnswerSource,
    ApplyEvent,
    BeginCompensation,
    CloseAttempt,
    CompensationReport,
    EffectAnswer,
    EffectPlan,
    ForgetOrphans,
    PageRequest,
    Park,
    RecordEffect,
    Resolve,
    ReviewPayout,
    SettleOrphan,
    StepRef,
    UndoCause,
)
from tests.support.stage import Stage

MERCHANT = "mer_1"
AMOUNT = 10_000
MADE = Approved(reference="prov_1")
REFUSED = Declined(code="card_declined", message="The card was declined.")
PENDING = Pending(reference="prov_1")
CAUSE = UndoCause(code="capture_declined", message="The capture was declined.")
ON = {"payment_id": "pay_1", "merchant_id": MERCHANT, "requested_by": "backend"}
AUTHORIZE = AuthorizeInput(
    **ON, amount=AMOUNT, currency="EUR", token="tok_ok", reference="order-1", metadata={"a": "b"}
)
AT_ONCE = AUTHORIZE.model_copy(update={"capture_method": "automatic"})
CAPTURE = CaptureInput(**ON, capture_id="cap_1", amount=4_000, final=True)
VOID = VoidInput(**ON, number=1)
REFUND = RefundInput(**ON, refund_id="ref_1", amount=3_000)
FEES = '{"basis_points": 100, "on_refund": "returned", "payout_return": 50}'
RESERVE = '{"basis_points": 500, "days": 30}'
PAYOUT = PayoutInput(
    payout_id="po_1",
    merchant_id=MERCHANT,
    amount=2_000,
    currency="EUR",
    token="tok_ok",
    requested_by="finance",
)


KEPT_LONG_ENOUGH = """
ALTER TABLE reserve_tranches DISABLE TRIGGER reserve_tranches_no_change;
UPDATE reserve_tranches SET release_at = created_at WHERE starts_with(capture_id, 'cap_');
ALTER TABLE reserve_tranches ENABLE ALWAYS TRIGGER reserve_tranches_no_change;
"""
"""As its owner one can say that time has passed: the database refuses it to anybody else."""


def record(
    plan: EffectPlan, outcome: Any, *, payout_state: PayoutState | None = None
) -> RecordEffect:
    """The answer to a planned effect, to be recorded."""
    answer = EffectAnswer(outcome=outcome, payout_state=payout_state)
    return RecordEffect(
        saga=plan.saga, attempt=plan.attempt, step=plan.step, leg=plan.leg, answer=answer
    )


def resolve(plan: EffectPlan, decision: ResolveDecision) -> Resolve:
    said = Resolution(decision=decision, actor="ops", reason="seen", provider_reference="prov_seen")
    return Resolve(saga=plan.saga, attempt=1, step=plan.step, resolution=said)


async def merchant(stage: Stage, *, rule: str = "on_capture") -> None:
    await stage.set_up(
        "INSERT INTO merchants (id, name, country, payout, fees, reserve, availability_rule,"
        " availability_days, created_by) VALUES (%s, 'Demo', 'DE', '{}', %s, %s, %s, 0, 'test')",
        MERCHANT,
        FEES,
        RESERVE,
        rule,
    )


async def _authorized(
    stage: Stage, *, expires_in_hours: int = 24, rule: str = "on_capture"
) -> None:
    await merchant(stage, rule=rule)
    admitted = await stage.given("authorization.admit", AUTHORIZE)
    lapses = datetime.now(UTC) + timedelta(hours=expires_in_hours)
    made = Approved(reference="prov_1", expires_at=lapses)
    await stage.given("authorization.record", record(admitted.effect, made))


async def captured(stage: Stage, *, rule: str = "on_capture") -> None:
    await _authorized(stage, rule=rule)
    admitted = await stage.given("capture.admit", CAPTURE)
    await stage.given("capture.record", record(admitted.effect, MADE))


async def _give_up(stage: Stage, plan: EffectPlan) -> None:
    """Nobody could say what became of the effect, and a person has said that it was not made."""
    park = Park(saga=plan.saga, attempt=1, step=plan.step, question="Was it made?")
    await stage.do("saga.park", park)
    await stage.do("saga.resolve", resolve(plan, ResolveDecision.FAILED))


async def _take_back(stage: Stage, saga: SagaRef, release: str) -> None:
    begin = BeginCompensation(saga=saga, attempt=1, cause=CAUSE)
    compensation = await stage.do("saga.compensate", begin)
    if compensation.undo is not None:
        await stage.do("saga.record_undo", record(compensation.undo, MADE))
    await stage.do(release, StepRef(saga=saga, attempt=1))
    report = CompensationReport(saga_id=saga.saga_id, attempt=1, cause=CAUSE, undone=(release,))
    await stage.do("saga.close", CloseAttempt(saga=saga, attempt=1, report=report))


async def authorization_is_recorded(stage: Stage, outcome: Any) -> None:
    """An authorization and its answer."""
    await merchant(stage)
    admitted = await stage.do("authorization.admit", AUTHORIZE)
    await stage.do("authorization.record", record(admitted.effect, outcome))


async def authorization_is_refused(stage: Stage) -> None:
    """There is no such merchant."""
    await stage.do("authorization.admit", AUTHORIZE)


async def payer_acts(stage: Stage) -> None:
    """The payer has to do something first."""
    await merchant(stage)
    admitted = await stage.do("authorization.admit", AUTHORIZE)
    page = RequiresAction(reference="prov_1", redirect_url="https://example.test/3ds")
    await stage.do("authorization.record", record(admitted.effect, page))
    await stage.do("authorization.record", record(admitted.effect, MADE))


async def captured_at_once(stage: Stage, outcome: Any) -> None:
    """An automatic capture; where it is declined, the authorization is voided."""
    await merchant(stage)
    admitted = await stage.do("authorization.admit", AT_ONCE)
    recorded = await stage.do("authorization.record", record(admitted.effect, MADE))
    await stage.do("authorization.record_capture", record(recorded.next_effect, outcome))
    if isinstance(outcome, Declined):
        await _take_back(stage, AT_ONCE.ref(), "authorization.release")


async def authorization_is_parked(stage: Stage, decision: ResolveDecision) -> None:
    """Nobody knows what became of it, and a person is asked."""
    await merchant(stage)
    admitted = await stage.do("authorization.admit", AUTHORIZE)
    plan = admitted.effect
    await stage.do("saga.park", Park(saga=plan.saga, attempt=1, step=plan.step, question="Made?"))
    resolved = await stage.do("saga.resolve", resolve(plan, decision))
    if decision is ResolveDecision.FAILED:
        await _take_back(stage, plan.saga, "authorization.release")
        return
    outcome = resolved.answer.outcome if resolved.answer else MADE
    await stage.do("authorization.record", record(plan, outcome))


async def step_is_recorded(stage: Stage, name: str, saga: Any, *outcomes: Any) -> None:
    """A capture, void or refund of a payment, and what the provider says of it, one after the
    other.
    """
    await (captured if name == "refund" else _authorized)(stage)
    admitted = await stage.do(f"{name}.admit", saga)
    for outcome in outcomes:
        await stage.do(f"{name}.record", record(admitted.effect, outcome))


async def step_is_taken_back(stage: Stage, name: str, saga: Any) -> None:
    """A capture, void or refund that was never made."""
    await (captured if name == "refund" else _authorized)(stage)
    admitted = await stage.do(f"{name}.admit", saga)
    await _give_up(stage, admitted.effect)
    await _take_back(stage, saga.ref(), f"{name}.release")


async def refund_of_pending_money(stage: Stage) -> None:
    """The merchant's money is not available yet: the refund takes the payment's own."""
    await captured(stage, rule="on_settlement")
    admitted = await stage.do("refund.admit", REFUND)
    await stage.do("refund.record", record(admitted.effect, MADE))


async def payout_is_recorded(stage: Stage, *outcomes: Any) -> None:
    """A payout that needs no approval."""
    await captured(stage)
    admitted = await stage.do("payout.admit", PAYOUT)
    for outcome in outcomes:
        await stage.do("payout.record", record(admitted.effect, outcome))


async def payout_is_reviewed(stage: Stage, *, approve: bool) -> None:
    """A payout that a person has to approve."""
    await captured(stage)
    await stage.set_up("UPDATE merchants SET payout = '{\"approval_above\": 0}'")
    await stage.do("payout.admit", PAYOUT)
    word = ReviewPayout(
        saga=PAYOUT.ref(),
        attempt=1,
        approve=approve,
        final_status=None if approve else "rejected",
        actor="ops",
        reason="seen",
    )
    reviewed = await stage.do("payout.review", word)
    if approve:
        await stage.do("payout.record", record(reviewed.next_effect, MADE))


async def payout_is_canceled(stage: Stage) -> None:
    """A payout that is called back on its way."""
    await captured(stage)
    admitted = await stage.do("payout.admit", PAYOUT)
    await stage.do("payout.record", record(admitted.effect, PENDING))
    begun = await stage.do("payout.begin_cancel", StepRef(saga=PAYOUT.ref(), attempt=1))
    await stage.do("payout.record", record(begun.next_effect, MADE))
    await _take_back(stage, PAYOUT.ref(), "payout.release")


async def event_arrives(
    stage: Stage, effect_key: str, state: PayoutState | None = None, *, event_id: str = "evt"
) -> Any:
    """A webhook tells that an effect was made."""
    await stage.set_up(
        "INSERT INTO provider_events (provider, event_id, event_type, effect_key, payload, status)"
        " VALUES ('sandbox', %s, 'a', %s, '{}', 'received')",
        event_id,
        effect_key,
    )
    stored = ProviderEventInput(provider="sandbox", event_id=event_id)
    target = await stage.do("provider_event.load", stored)
    if target.effect is None:
        return None
    answer = EffectAnswer(outcome=MADE, source=AnswerSource.LOOKUP, payout_state=state)
    apply = ApplyEvent(provider="sandbox", event_id=event_id, effect=target.effect, answer=answer)
    return await stage.do("provider_event.apply", apply)


async def event_tells_who_waits(stage: Stage) -> None:
    """A webhook comes before the saga knows."""
    await merchant(stage)
    admitted = await stage.given("authorization.admit", AUTHORIZE)
    applied = await event_arrives(stage, "pay_1:authorize:1")
    await stage.do("authorization.record", record(admitted.effect, applied.word.answer.outcome))


async def event_of_a_stranger(stage: Stage) -> None:
    """A webhook about nothing of ours."""
    await event_arrives(stage, "pay_other:authorize:1")


async def paid_payout_comes_back(stage: Stage) -> None:
    """The bank returns a payout."""
    await captured(stage)
    admitted = await stage.given("payout.admit", PAYOUT)
    await stage.given("payout.record", record(admitted.effect, MADE))
    await event_arrives(stage, "po_1:payout:1", PayoutState.RETURNED)


async def given_up(stage: Stage, effect: EffectPlan, saga: SagaRef, release: str) -> None:
    """An effect is given up as never made, and its attempt taken back and closed."""
    await stage.given("saga.resolve", resolve(effect, ResolveDecision.FAILED))
    await stage.given("saga.compensate", BeginCompensation(saga=saga, attempt=1, cause=CAUSE))
    await stage.given(release, StepRef(saga=saga, attempt=1))
    report = CompensationReport(saga_id=saga.saga_id, attempt=1, cause=CAUSE, undone=())
    await stage.given("saga.close", CloseAttempt(saga=saga, attempt=1, report=report))


async def effect_comes_too_late(stage: Stage, outcome: Any) -> None:
    """An authorization becomes known after its attempt was closed: an orphan, undone or parked."""
    await merchant(stage)
    admitted = await stage.given("authorization.admit", AUTHORIZE)
    await given_up(stage, admitted.effect, AUTHORIZE.ref(), "authorization.release")
    applied = await event_arrives(stage, "pay_1:authorize:1")
    answer = None if outcome is None else EffectAnswer(outcome=outcome)
    await stage.do(
        "provider_event.settle_orphan", SettleOrphan(effect=applied.orphan_undo, answer=answer)
    )


async def _capture_comes_too_late(stage: Stage) -> None:
    """A capture that was given up shows after all: nothing takes it back, and a person is asked."""
    await _authorized(stage)
    admitted = await stage.given("capture.admit", CAPTURE)
    await given_up(stage, admitted.effect, CAPTURE.ref(), "capture.release")
    await event_arrives(stage, "cap_1:capture:1")


async def late_capture_is_forgotten(stage: Stage) -> None:
    """A person has undone it at the provider."""
    await _capture_comes_too_late(stage)
    told = ForgetOrphans(saga=CAPTURE.ref(), actor="ops", reason="undone there")
    await stage.do("saga.forget_orphans", told)


async def late_capture_is_taken_up(stage: Stage) -> None:
    """A replay keeps it: its attempt has nothing to send, and books what stands."""
    await _capture_comes_too_late(stage)
    admitted = await stage.do("capture.admit", CAPTURE, run="run-2")
    await stage.do("capture.record", record(admitted.effect, MADE), run="run-2")


async def capture_fails_after_the_authorization_has_closed(stage: Stage) -> None:
    """A final capture that was given up shows while another capture is open, which then fails."""
    await _authorized(stage)
    admitted = await stage.given("capture.admit", CAPTURE)
    await given_up(stage, admitted.effect, CAPTURE.ref(), "capture.release")
    other = CaptureInput(**ON, capture_id="cap_2", amount=1_000)
    admitted = await stage.given("capture.admit", other)
    await event_arrives(stage, "cap_1:capture:1")
    await stage.do("capture.record", record(admitted.effect, REFUSED))


async def void_comes_too_late(stage: Stage) -> None:
    """A void that was given up shows after all, and the payment follows it."""
    await _authorized(stage)
    admitted = await stage.given("void.admit", VOID)
    await given_up(stage, admitted.effect, VOID.ref(), "void.release")
    await event_arrives(stage, "pay_1:void.1:1")


async def sweeps_run(stage: Stage) -> None:
    """Money has become due, out of pending and out of the reserve; an authorization is past its
    validity, an event was left.
    """
    page = PageRequest(page_size=10)
    await _authorized(stage, expires_in_hours=-1, rule="after_days")
    for number in (1, 2, 3):
        part = CaptureInput(**ON, capture_id=f"cap_{number}", amount=1_000)
        admitted = await stage.given("capture.admit", part)
        await stage.given("capture.record", record(admitted.effect, MADE))
        if number == 1:
            await stage.given("availability.release", page)
            await stage.set_up(KEPT_LONG_ENOUGH)
    await stage.do("availability.release", page)
    await stage.do("sweep.expiring", page)
    await stage.do("provider_event.relay", page)
