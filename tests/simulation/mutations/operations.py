"""Defects of operations, attempts and bookings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ActivityError

from activities import admission, bookings, captures, payouts, refunds, steps, voids
from activities import authorization as authorizations
from activities.provider_events import ProviderEventActivities
from activities.sagas import SagaActivities
from recompense.contracts.sagas import Verdict
from recompense.contracts.steps import CompensationPlan, EventTarget
from recompense.domain.effects import AttemptState
from recompense.persistence import operations
from recompense.persistence.saga_tables import Attempt, OperationRun
from workflows.effects import Effects
from workflows.turns import never_happened

RECORDERS = (authorizations, captures, voids, refunds, payouts)


def m_attempt_is_not_closed(patch: pytest.MonkeyPatch) -> None:
    """Everything is undone, and the attempt stays compensating."""

    async def close(self: object, close: object) -> None:
        return None

    patch.setattr(SagaActivities, "close", _as_activity(SagaActivities.close, close))


def m_compensating_is_not_marked(patch: pytest.MonkeyPatch) -> None:
    """The first compensation runs before the attempt is marked as compensating."""

    async def begin(self: object, work: object, operation: object, begin: Any) -> Any:
        return begin.cause

    patch.setattr(SagaActivities, "_begin", begin)


def m_nothing_is_undone_at_the_provider(patch: pytest.MonkeyPatch) -> None:
    """Only our own books are taken back."""

    async def undo(self: object, work: object, begin: object) -> None:
        return None

    patch.setattr(SagaActivities, "_undo", undo)


def m_unknown_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    """An effect that may stand is compensated as one that does not."""

    async def undo(self: Any, work: Any, begin: Any) -> Any:
        for row in await work.forward_effects(begin.saga.saga_id, begin.attempt):
            if row.outcome_kind in {"approved", "pending", "requires_action"}:
                return await self._undo_of(work, begin.saga, row)
        return None

    patch.setattr(SagaActivities, "_undo", undo)
    _give_up_what_is_unknown(patch)


def _give_up_what_is_unknown(patch: pytest.MonkeyPatch) -> None:
    async def find_out(self: Any, plan: Any, why: str) -> Any:
        try:
            return await self._look_up(plan, "what became of it?")
        except ActivityError as failure:
            raise never_happened(plan.provider, "done") from failure

    patch.setattr(Effects, "_find_out", find_out)


def m_a_recorded_attempt_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    """A compensation that finds the attempt recorded goes on."""
    original = SagaActivities.compensate

    async def compensate(self: Any, begin: Any) -> CompensationPlan:
        planned = await original(self, begin)
        if not planned.nothing_to_do:
            return planned
        async with self._tools.store.work() as work:
            operation = await operations.locked(work, begin.saga.saga_id)
            operation.attempt_state = AttemptState.COMPENSATING
            attempt = await operations.decision_of(work, begin.saga, begin.attempt)
            attempt.report = {"cause": begin.cause.model_dump(mode="json")}
            undo = await self._undo(work, begin)
        return planned.model_copy(update={"nothing_to_do": False, "undo": undo})

    patch.setattr(SagaActivities, "compensate", _as_activity(original, compensate))


def m_compensating_goes_forward(patch: pytest.MonkeyPatch) -> None:
    """A forward step does not ask whether the attempt is being taken back."""
    original = operations._verdict

    def verdict(*given: Any) -> Verdict:
        found = original(*given)
        return Verdict.PROCEED if found is Verdict.JOIN_COMPENSATION else found

    patch.setattr(operations, "_verdict", verdict)


def m_every_run_pays_afresh(patch: pytest.MonkeyPatch) -> None:
    """A run that was there before the attempt closed opens the next one too."""

    async def stand(work: Any, ref: Any, run: Any, *, step_attempt: int | None) -> Any:
        operation = await operations.locked(work, ref.saga_id)
        seen = await work.get(OperationRun, (ref.saga_id, run.run_id))
        if seen is None:
            seen = await operations._register(work, ref, run, operation)
        elif operation.attempt_state == AttemptState.CLOSED:
            operation.attempt += 1
            operation.attempt_state = AttemptState.OPEN
            seen.attempt = operation.attempt
            work.add(
                Attempt(saga_id=ref.saga_id, number=operation.attempt, opened_by_run=run.run_id)
            )
        verdict = operations._verdict(operation, seen, step_attempt)
        return operations.Standing(operation, verdict, operation.attempt)

    for module in (operations, steps):
        patch.setattr(module, "stand", stand)


def m_admit_decides_again(patch: pytest.MonkeyPatch) -> None:
    """A later run of admit decides afresh."""
    original = operations.decision_of

    async def decision_of(*given: Any) -> Any:
        attempt = await original(*given)
        attempt.decision = None
        return attempt

    patch.setattr(admission, "decision_of", decision_of)


def m_a_refusal_is_not_kept(patch: pytest.MonkeyPatch) -> None:
    """The refusal is answered and the operation stays open."""

    async def refuse(work: object, standing: object, refused: Any) -> Any:
        from recompense.contracts.sagas import Refusal

        return Refusal(code=refused.code, message=refused.message, members=refused.members)

    patch.setattr(admission, "refuse", refuse)


def m_booked_twice(patch: pytest.MonkeyPatch) -> None:
    """Every time an outcome is recorded it is booked."""
    _recording(patch, lambda recording: replace(recording, books=True))


def m_never_booked(patch: pytest.MonkeyPatch) -> None:
    """An outcome is journaled and the books do not follow."""
    _recording(patch, lambda recording: replace(recording, books=False))


def m_an_overtaken_answer_is_the_last(patch: pytest.MonkeyPatch) -> None:
    """A final word that came before the answer counts as booked once the answer is."""

    def booked(recording: steps.Recording) -> steps.Recording:
        recording.row.booked = recording.row.final
        return recording

    _recording(patch, booked)


def _recording(patch: pytest.MonkeyPatch, change: Any) -> None:
    original = steps.begin_record

    async def begin(*given: Any) -> Any:
        return change(await original(*given))

    for module in RECORDERS:
        patch.setattr(module, "begin_record", begin)


def m_not_released(patch: pytest.MonkeyPatch) -> None:
    """A reservation is kept when the attempt is taken back."""
    original = steps.begin_release

    async def begin(*given: Any) -> Any:
        return replace(await original(*given), due=False)

    for module in RECORDERS:
        patch.setattr(module, "begin_release", begin)


def m_the_whole_hold_is_voided(patch: pytest.MonkeyPatch) -> None:
    """A void after a partial capture counts the whole authorization."""
    original = bookings.void_rest

    async def void_rest(work: Any, payment: Any, key: str, *, expired: bool = False) -> None:
        await original(work, payment, key, expired=expired)
        payment.amount_voided = payment.amount_held

    for module in (bookings, voids):
        patch.setattr(module, "void_rest", void_rest)


def m_the_rest_is_not_voided(patch: pytest.MonkeyPatch) -> None:
    """A final capture leaves the rest of the hold."""

    async def void_rest(*given: object, **options: object) -> None:
        return None

    patch.setattr(bookings, "void_rest", void_rest)


def m_a_refused_capture_stays_reserved(patch: pytest.MonkeyPatch) -> None:
    """A declined capture gives nothing back."""
    patch.setattr(captures, "release_capture", lambda payment, capture, failure: None)


def m_a_refused_refund_stays_reserved(patch: pytest.MonkeyPatch) -> None:
    """A declined refund gives nothing back."""

    async def give_back(*given: object) -> None:
        return None

    patch.setattr(refunds, "_give_back", give_back)


def m_a_refund_takes_what_is_not_there(patch: pytest.MonkeyPatch) -> None:
    """A refund takes pending money that was made available long ago."""
    patch.setattr(refunds, "pending_money", lambda payment: payment.amount_captured)


def m_a_payout_is_not_posted(patch: pytest.MonkeyPatch) -> None:
    """A paid payout leaves its reservation."""

    async def post_paid(*given: object) -> None:
        return None

    patch.setattr(payouts, "post_paid", post_paid)


def m_a_failed_payout_keeps_the_money(patch: pytest.MonkeyPatch) -> None:
    """A refused payout does not release its reservation."""

    async def give_back(*given: object) -> None:
        return None

    patch.setattr(payouts, "give_back", give_back)


def m_a_returned_payout_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    """Money that comes back is not booked."""

    async def later(*given: object) -> Any:
        from recompense.contracts.steps import EventApplied

        return EventApplied(detail="nothing new")

    patch.setattr(ProviderEventActivities, "_later_life_of_payout", later)


def m_the_inbox_is_not_applied(patch: pytest.MonkeyPatch) -> None:
    """An event is marked as applied when it is loaded."""
    original = ProviderEventActivities.load

    async def load(self: Any, event: Any) -> EventTarget:
        async with self._tools.store.work() as work:
            await work.mark_event(event.provider, event.event_id, "applied", "")
        return EventTarget()

    patch.setattr(ProviderEventActivities, "load", _as_activity(original, load))


def m_the_fee_is_counted_twice(patch: pytest.MonkeyPatch) -> None:
    """The payment's row counts a fee that the ledger has once."""
    original = bookings.book_capture

    async def book(work: Any, payment: Any, capture: Any, key: str, **options: Any) -> None:
        await original(work, payment, capture, key, **options)
        payment.amount_fees += capture.fee

    for module in (authorizations, captures):
        patch.setattr(module, "book_capture", book)


def m_a_transition_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A replay does not take the payment back to `processing` before it goes on."""

    def set_status(payment: Any, target: Any) -> None:
        if target != "processing":
            payment.status = target

    for module in (bookings, authorizations):
        patch.setattr(module, "set_payment_status", set_status)


def m_an_approval_is_asked_again(patch: pytest.MonkeyPatch) -> None:
    """A run after a reset does not see the word that was given."""

    async def decided_before(*given: Any) -> Any:
        return given[4]

    patch.setattr(admission, "_decided", decided_before)


def _as_activity(original: Any, function: Any) -> Any:
    """Register a function under the original's name."""
    definition = original.__temporal_activity_definition
    function.__temporal_activity_definition = replace(definition, fn=function)
    return function
