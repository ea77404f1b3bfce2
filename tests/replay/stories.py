"""The stories that workflows can tell: each ends with the id of the workflow that is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    CaptureInput,
    PayoutReview,
    PayoutReviewDecision,
    RefundInput,
    Resolution,
    ResolveDecision,
    SweepInput,
    VoidInput,
)
from recompense.contracts.steps import ForgetOrphans
from recompense.desk import SagaDesk
from recompense.domain.ids import IdPrefix, new_id
from tests.replay.finance_stories import (
    canceled_repair,
    checked_balances,
    looked_up_repair,
    payout_run,
    reconciled,
    reconciled_daily,
    rejected_payout_run,
    relayed_reconciliations,
    repaired,
    sent_window,
    told_by_a_bank,
    triggered_payout_run,
    written_off_by_two,
)
from tests.replay.story_steps import (
    a_payment,
    a_payout,
    an_event,
    ended,
    run_once,
    two_providers,
    until_parked,
)
from tests.support.platform import Platform, authorize_input
from tests.support.scenes import stored_event
from workflows.authorize import AuthorizePayment
from workflows.capture import CapturePayment
from workflows.orphans import ForgetOrphansOfSaga
from workflows.payout import Payout
from workflows.provider_events import RelayProviderEvents
from workflows.refund import RefundPayment
from workflows.sweeps import ReleaseAvailability
from workflows.void import VoidAuthorization

Story = Callable[[Platform], Awaitable[str]]


async def authorized(platform: Platform) -> str:
    """A payment without faults."""
    payment = authorize_input()
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def captured_at_once(platform: Platform) -> str:
    """Automatic capture."""
    payment = authorize_input(capture_method="automatic")
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def declined(platform: Platform) -> str:
    """A card that is refused."""
    payment = authorize_input(token="tok_declined")
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def lost_answer(platform: Platform) -> str:
    """An answer that got lost and was looked up."""
    payment = authorize_input()
    platform.sandbox.arm("authorize", "timeout_after", reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def compensated(platform: Platform) -> str:
    """An automatic capture that stays unavailable: the authorization is voided."""
    payment = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    return await ended(platform, payment)


async def parked_and_resolved(platform: Platform) -> str:
    """A saga that asks, and a person who says that it happened."""
    payment = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=payment.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, payment))
    desk = SagaDesk(platform.database, platform.client, ui_url="")
    await until_parked(desk, payment)
    answer = Resolution(
        decision=ResolveDecision.SUCCEEDED, actor="ops", reason="seen there", provider_reference="r"
    )
    await desk.resolve(payment.ref().saga_id, answer)
    await asked
    return await ended(platform, payment)


async def failed_over(platform: Platform) -> str:
    """A payment that its first provider does not take: the next one of its route does, and
    captures it.
    """
    payment = authorize_input(capture_method="automatic")
    platform.sandbox.arm("authorize", "unavailable", times=-1, reference=payment.payment_id)
    async with two_providers(platform):
        await platform.decide(AuthorizePayment, payment)
        return await ended(platform, payment)


async def failed_over_payout(platform: Platform) -> str:
    """A payout that its first provider does not take: the next one of its route pays it."""
    payout = await a_payout(platform, amount=400)
    platform.sandbox.arm("payout", "unavailable", times=-1, reference=payout.payout_id)
    async with two_providers(platform):
        await platform.decide(Payout, payout)
        return await ended(platform, payout)


async def captured_in_part(platform: Platform) -> str:
    """A capture."""
    capture = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=4_000, **await a_payment(platform)
    )
    await platform.decide(CapturePayment, capture)
    return await ended(platform, capture)


async def refused_capture(platform: Platform) -> str:
    """A capture of more than there is: a refusal is a result."""
    capture = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE), amount=99_999, **await a_payment(platform)
    )
    await platform.decide(CapturePayment, capture)
    return await ended(platform, capture)


async def voided(platform: Platform) -> str:
    """A void."""
    void = VoidInput(number=1, **await a_payment(platform))
    await platform.decide(VoidAuthorization, void)
    return await ended(platform, void)


async def refunded(platform: Platform) -> str:
    """A refund whose final word came later."""
    common = await a_payment(platform, capture_method="automatic")
    refund = RefundInput(refund_id=new_id(IdPrefix.REFUND), **common)
    platform.sandbox.arm("refund", "pending", reference=refund.refund_id, delay_ms=500)
    await platform.decide(RefundPayment, refund)
    return await ended(platform, refund)


async def approved_payout(platform: Platform) -> str:
    """A payout that was approved by a second person, and paid."""
    return await _reviewed_payout(platform, PayoutReviewDecision.APPROVE)


async def rejected_payout(platform: Platform) -> str:
    """A payout that a second person did not want."""
    return await _reviewed_payout(platform, PayoutReviewDecision.REJECT)


async def canceled_payout(platform: Platform) -> str:
    """A payout that was taken back on its way."""
    payout = await a_payout(platform, amount=400)
    await platform.decide(Payout, payout)
    word = PayoutReview(decision=PayoutReviewDecision.CANCEL, actor="chief")
    await platform.handle(payout).execute_update("review", word)
    return await ended(platform, payout)


async def failed_payout(platform: Platform) -> str:
    """A payout that the bank refused."""
    payout = await a_payout(platform, amount=400, token="tok_closed_account")
    await platform.decide(Payout, payout)
    return await ended(platform, payout)


async def acted_upon(platform: Platform) -> str:
    """A payer who had to act, and did: the provider's event tells."""
    payment = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, payment)
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "succeed"}).raise_for_status()
    await an_event(platform, f"{payment.payment_id}:authorize:1")
    return await ended(platform, payment)


async def canceled_while_the_payer_acts(platform: Platform) -> str:
    """A cancel in Temporal while nothing has moved: everything is taken back."""
    payment = authorize_input(token="tok_3ds")
    await platform.decide(AuthorizePayment, payment)
    await platform.handle(payment).cancel()
    return await ended(platform, payment)


async def told_event(platform: Platform) -> str:
    """An event that wakes the saga that waits for it."""
    payment = authorize_input(token="tok_3ds")
    decided = await platform.decide(AuthorizePayment, payment)
    url = decided.resource.next_action.url
    platform.sandbox.http.post(url, json={"result": "succeed"}).raise_for_status()
    event = await an_event(platform, f"{payment.payment_id}:authorize:1")
    await ended(platform, payment)
    return event


async def event_of_an_orphan(platform: Platform) -> str:
    """An event about an authorization that was given up: it is voided."""
    payment = authorize_input()
    platform.sandbox.arm("authorize", "unavailable", times=-1, reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    platform.sandbox.clear_faults()
    key = f"{payment.payment_id}:authorize:1"
    body = {"reference": payment.payment_id, "amount": payment.amount, "currency": "EUR"}
    platform.sandbox.http.post(
        "/v1/authorizations", json={**body, "token": "tok_ok"}, headers={"Idempotency-Key": key}
    ).raise_for_status()
    return await an_event(platform, key)


async def event_of_a_stranger(platform: Platform) -> str:
    """An event about nothing of ours."""
    return await an_event(platform, "pay_elsewhere:authorize:1")


async def forgotten_orphans(platform: Platform) -> str:
    """A person has undone at the provider what stood there."""
    payment = authorize_input()
    await platform.decide(AuthorizePayment, payment)
    told = ForgetOrphans(saga=payment.ref(), actor="ops", reason="undone there")
    return await run_once(platform, ForgetOrphansOfSaga.run, told)


async def relayed(platform: Platform) -> str:
    """An event that was stored and not applied is started again."""
    await stored_event(platform, "pay_elsewhere:authorize:1")
    await platform.rows_changed(
        "UPDATE provider_events SET received_at = now() - interval '1 minute'"
    )
    return await run_once(platform, RelayProviderEvents.run)


async def released_availability(platform: Platform) -> str:
    """Captured money that has become due."""
    await platform.rows_changed("UPDATE merchants SET availability_rule = 'after_days'")
    await a_payment(platform, capture_method="automatic")
    await platform.rows_changed(
        "UPDATE captures SET available_at = now() - interval '1 minute'"
        " WHERE available_at IS NOT NULL"
    )
    workflow_id = await run_once(platform, ReleaseAvailability.run, SweepInput())
    await platform.rows_changed("UPDATE merchants SET availability_rule = 'on_capture'")
    return workflow_id


async def _reviewed_payout(platform: Platform, decision: PayoutReviewDecision) -> str:
    payout = await a_payout(platform, amount=1_000)
    await platform.decide(Payout, payout)
    word = PayoutReview(decision=decision, actor="chief")
    await platform.handle(payout).execute_update("review", word)
    return await ended(platform, payout)


async def swept(platform: Platform) -> str:
    """A sweep that starts a void."""
    await a_payment(platform)
    await platform.rows_changed(
        "UPDATE payments SET authorization_expires_at = now() - interval '1 hour'"
    )
    handle = await platform.client.start_workflow(
        "SweepAuthorizations", SweepInput(), id="sweep-recorded", task_queue=SAGA_TASK_QUEUE
    )
    await handle.result()
    return handle.id


STORIES: tuple[Story, ...] = (
    swept,
    authorized,
    captured_at_once,
    declined,
    lost_answer,
    compensated,
    failed_over,
    failed_over_payout,
    acted_upon,
    canceled_while_the_payer_acts,
    parked_and_resolved,
    captured_in_part,
    refused_capture,
    voided,
    refunded,
    approved_payout,
    rejected_payout,
    canceled_payout,
    failed_payout,
    told_event,
    event_of_an_orphan,
    event_of_a_stranger,
    forgotten_orphans,
    relayed,
    released_availability,
    payout_run,
    rejected_payout_run,
    triggered_payout_run,
    reconciled,
    reconciled_daily,
    relayed_reconciliations,
    checked_balances,
    repaired,
    written_off_by_two,
    canceled_repair,
    looked_up_repair,
    sent_window,
    told_by_a_bank,
)
"""The sweep comes first, while there is one payment to be swept."""
