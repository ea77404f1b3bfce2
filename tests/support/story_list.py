"""The stories of `tests.support.step_stories` by name, each with the steps that it performs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from recompense.contracts.provider import Declined
from recompense.contracts.sagas import ResolveDecision
from tests.support.stage import Stage
from tests.support.step_stories import (
    CAPTURE,
    MADE,
    PENDING,
    REFUND,
    REFUSED,
    VOID,
    authorization_is_parked,
    authorization_is_recorded,
    authorization_is_refused,
    capture_fails_after_the_authorization_has_closed,
    captured_at_once,
    effect_comes_too_late,
    event_of_a_stranger,
    event_tells_who_waits,
    late_capture_is_forgotten,
    late_capture_is_taken_up,
    paid_payout_comes_back,
    payer_acts,
    payout_is_canceled,
    payout_is_recorded,
    payout_is_reviewed,
    refund_of_pending_money,
    step_is_recorded,
    step_is_taken_back,
    sweeps_run,
    void_comes_too_late,
)

Story = Callable[[Stage], Awaitable[None]]
_BACK = ("saga.compensate", "{}.release", "saga.close")
_GIVEN_UP = ("{}.admit", "saga.park", "saga.resolve", *_BACK)


def _steps(name: str, *steps: str) -> tuple[str, ...]:
    return tuple(step.format(name) for step in steps)


_ADMIT_RECORD = ("{}.admit", "{}.record")
_EVENT = ("provider_event.load", "provider_event.apply")
_PARKED = ("{}.admit", "saga.park", "saga.resolve", "{}.record")
_LAPSED = Declined(code="authorization_expired", message="It has lapsed.")

STORIES: dict[str, tuple[Story, tuple[str, ...]]] = {
    "authorization, approved": (
        lambda stage: authorization_is_recorded(stage, MADE),
        _steps("authorization", *_ADMIT_RECORD),
    ),
    "authorization, declined": (
        lambda stage: authorization_is_recorded(stage, REFUSED),
        _steps("authorization", *_ADMIT_RECORD),
    ),
    "authorization, refused": (authorization_is_refused, ("authorization.admit",)),
    "authorization, payer acts": (
        payer_acts,
        _steps("authorization", *_ADMIT_RECORD, "{}.record"),
    ),
    "authorization, captured at once": (
        lambda stage: captured_at_once(stage, MADE),
        _steps("authorization", *_ADMIT_RECORD, "{}.record_capture"),
    ),
    "authorization, capture declined": (
        lambda stage: captured_at_once(stage, REFUSED),
        _steps(
            "authorization",
            *_ADMIT_RECORD,
            "{}.record_capture",
            "saga.compensate",
            "saga.record_undo",
            "{}.release",
            "saga.close",
        ),
    ),
    "authorization, parked, retried": (
        lambda stage: authorization_is_parked(stage, ResolveDecision.RETRY),
        _steps("authorization", *_PARKED),
    ),
    "authorization, parked, made": (
        lambda stage: authorization_is_parked(stage, ResolveDecision.SUCCEEDED),
        _steps("authorization", *_PARKED),
    ),
    "authorization, parked, not made": (
        lambda stage: authorization_is_parked(stage, ResolveDecision.FAILED),
        _steps("authorization", *_GIVEN_UP),
    ),
    "capture, approved": (
        lambda stage: step_is_recorded(stage, "capture", CAPTURE, MADE),
        _steps("capture", *_ADMIT_RECORD),
    ),
    "capture, declined": (
        lambda stage: step_is_recorded(stage, "capture", CAPTURE, REFUSED),
        _steps("capture", *_ADMIT_RECORD),
    ),
    "capture, not made": (
        lambda stage: step_is_taken_back(stage, "capture", CAPTURE),
        _steps("capture", *_GIVEN_UP),
    ),
    "void, approved": (
        lambda stage: step_is_recorded(stage, "void", VOID, MADE),
        _steps("void", *_ADMIT_RECORD),
    ),
    "void, declined": (
        lambda stage: step_is_recorded(stage, "void", VOID, REFUSED),
        _steps("void", *_ADMIT_RECORD),
    ),
    "void, lapsed": (
        lambda stage: step_is_recorded(
            stage, "void", VOID.model_copy(update={"cause": "expiry"}), _LAPSED
        ),
        _steps("void", *_ADMIT_RECORD),
    ),
    "void, not made": (
        lambda stage: step_is_taken_back(stage, "void", VOID),
        _steps("void", *_GIVEN_UP),
    ),
    "refund, approved late": (
        lambda stage: step_is_recorded(stage, "refund", REFUND, PENDING, MADE),
        _steps("refund", *_ADMIT_RECORD, "{}.record"),
    ),
    "refund, declined": (
        lambda stage: step_is_recorded(stage, "refund", REFUND, REFUSED),
        _steps("refund", *_ADMIT_RECORD),
    ),
    "refund, of pending money": (refund_of_pending_money, _steps("refund", *_ADMIT_RECORD)),
    "refund, not made": (
        lambda stage: step_is_taken_back(stage, "refund", REFUND),
        _steps("refund", *_GIVEN_UP),
    ),
    "payout, paid": (
        lambda stage: payout_is_recorded(stage, PENDING, MADE),
        _steps("payout", *_ADMIT_RECORD, "{}.record"),
    ),
    "payout, failed": (
        lambda stage: payout_is_recorded(stage, REFUSED),
        _steps("payout", *_ADMIT_RECORD),
    ),
    "payout, reviewed": (
        lambda stage: payout_is_reviewed(stage, approve=True),
        _steps("payout", "{}.admit", "{}.review", "{}.record"),
    ),
    "payout, rejected": (
        lambda stage: payout_is_reviewed(stage, approve=False),
        _steps("payout", "{}.admit", "{}.review"),
    ),
    "payout, canceled": (
        payout_is_canceled,
        _steps("payout", *_ADMIT_RECORD, "{}.begin_cancel", "{}.record", *_BACK),
    ),
    "payout, returned": (paid_payout_comes_back, _EVENT),
    "event, somebody waits": (event_tells_who_waits, (*_EVENT, "authorization.record")),
    "event, of a stranger": (event_of_a_stranger, ("provider_event.load",)),
    "orphan, undone": (
        lambda stage: effect_comes_too_late(stage, MADE),
        (*_EVENT, "provider_event.settle_orphan"),
    ),
    "orphan, stands": (
        lambda stage: effect_comes_too_late(stage, None),
        (*_EVENT, "provider_event.settle_orphan"),
    ),
    "orphan, forgotten": (late_capture_is_forgotten, (*_EVENT, "saga.forget_orphans")),
    "orphan, taken up": (late_capture_is_taken_up, (*_EVENT, "capture.admit", "capture.record")),
    "orphan, beside a capture": (
        capture_fails_after_the_authorization_has_closed,
        (*_EVENT, "capture.record"),
    ),
    "orphan, followed": (void_comes_too_late, _EVENT),
    "sweeps": (sweeps_run, ("availability.release", "sweep.expiring", "provider_event.relay")),
}
COMMITS = {"availability.release": 4}
"""How many transactions a step makes, where it is not one."""
