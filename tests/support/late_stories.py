"""What becomes of effects that were given up and made after all, step by step."""

from __future__ import annotations

from recompense.contracts.provider import Approved
from recompense.contracts.sagas import ResolveDecision
from recompense.contracts.steps import (
    BeginCompensation,
    CloseAttempt,
    CompensationReport,
    EffectAnswer,
    SettleOrphan,
    StepRef,
)
from tests.support.stage import Stage
from tests.support.step_stories import (
    AT_ONCE,
    CAUSE,
    MADE,
    PAYOUT,
    REFUSED,
    captured,
    event_arrives,
    given_up,
    merchant,
    record,
    resolve,
)


async def payout_is_taken_up(stage: Stage) -> None:
    """A payout that was given up was paid after all, and the bank does not take it back: the next
    attempt takes it up.
    """
    await captured(stage)
    admitted = await stage.given("payout.admit", PAYOUT)
    await given_up(stage, admitted.effect, PAYOUT.ref(), "payout.release")
    applied = await event_arrives(stage, "po_1:payout:1")
    refused = EffectAnswer(outcome=REFUSED)
    await stage.given(
        "provider_event.settle_orphan", SettleOrphan(effect=applied.orphan_undo, answer=refused)
    )
    again = await stage.given("payout.admit", PAYOUT, run="run-2")
    await stage.given("payout.record", record(again.effect, MADE), run="run-2")


async def authorized_again(stage: Stage) -> None:
    """A declined capture takes its authorization back, by an undo that nobody knows of and a person
    gives up. The second attempt is authorized.
    """
    await merchant(stage)
    admitted = await stage.given("authorization.admit", AT_ONCE)
    recorded = await stage.given("authorization.record", record(admitted.effect, MADE))
    await stage.given("authorization.record_capture", record(recorded.next_effect, REFUSED))
    await _undone_by_hand(stage)
    again = await stage.given("authorization.admit", AT_ONCE, run="run-2")
    made = Approved(reference="prov_2")
    await stage.given("authorization.record", record(again.effect, made), run="run-2")


async def capture_stands_of_what_was_taken_back(stage: Stage) -> None:
    """An automatic capture is given up, its authorization is taken back, and it was made."""
    await merchant(stage)
    admitted = await stage.given("authorization.admit", AT_ONCE)
    recorded = await stage.given("authorization.record", record(admitted.effect, MADE))
    await stage.given("saga.resolve", resolve(recorded.next_effect, ResolveDecision.FAILED))
    await _undone_by_hand(stage)
    await event_arrives(stage, "pay_1:capture:1")


async def _undone_by_hand(stage: Stage) -> None:
    saga = AT_ONCE.ref()
    begun = await stage.given(
        "saga.compensate", BeginCompensation(saga=saga, attempt=1, cause=CAUSE)
    )
    await stage.given("saga.resolve", resolve(begun.undo, ResolveDecision.FAILED))
    await stage.given("authorization.release", StepRef(saga=saga, attempt=1))
    report = CompensationReport(saga_id=saga.saga_id, attempt=1, cause=CAUSE, undone=("by hand",))
    await stage.given("saga.close", CloseAttempt(saga=saga, attempt=1, report=report))
