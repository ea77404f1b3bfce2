"""The scenes: each lifecycle, in each way it can go where nothing fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.provider import PayoutState, ProviderOperation
from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    PayoutReviewed,
    RefundInput,
    SweepInput,
    VoidInput,
)
from recompense.contracts.words import AnySagaInput
from recompense.persistence.tables import Payment, Payout
from tests.simulation.clock import EPOCH
from tests.simulation.run_people import carrying, triggering
from tests.simulation.world import MERCHANT, PROVIDER, SPARE, Asked, World

AMOUNT = 10_000
PART = 4_000
PAYMENT = "pay_1"
_ON = {"payment_id": PAYMENT, "merchant_id": MERCHANT, "requested_by": "backend"}

AUTHORIZE = AuthorizeInput(
    payment_id=PAYMENT,
    merchant_id=MERCHANT,
    amount=AMOUNT,
    currency="EUR",
    token="tok_ok",
    reference="order-1",
    requested_by="backend",
)
AUTOMATIC = AUTHORIZE.model_copy(update={"capture_method": "automatic"})
CAPTURE_ALL = CaptureInput(capture_id="cap_1", **_ON)
CAPTURE_PART = CaptureInput(capture_id="cap_1", amount=PART, **_ON)
CAPTURE_LAST = CaptureInput(capture_id="cap_1", amount=PART, final=True, **_ON)
VOID = VoidInput(number=1, **_ON)
EXPIRY = VoidInput(number=1, cause="expiry", **_ON)
REFUND_ALL = RefundInput(refund_id="ref_1", **_ON)
REFUND_PART = RefundInput(refund_id="ref_1", amount=PART, **_ON)
PAYOUT = PayoutInput(
    payout_id="po_1",
    merchant_id=MERCHANT,
    amount=PART,
    currency="EUR",
    token="tok_bank",
    requested_by="finance",
)

RUN = PayoutRunInput(
    name="daily", business_date=EPOCH.date(), requested_by="finance", at_once=2, page_size=2
)
"""Two windows and a page for three items: it goes on as new before the last."""

INSISTS = 60

PAYOUT_SAGA = PAYOUT.ref().saga_id

Play = Callable[[World], None]


@dataclass(frozen=True)
class Scene:
    """What was before, who is asked, how the provider behaves, and which calls that makes."""

    saga: Asked
    calls: tuple[str, ...]
    before: tuple[AnySagaInput, ...] = ()
    habits: dict[str, Any] = field(default_factory=dict)
    merchant: dict[str, Any] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further merchants of the same terms, and what is different about each."""
    play: Play | None = None
    asks: bool = False
    """Whether people are asked although nothing fails."""


def _reviewing(decision: PayoutReviewDecision) -> Play:
    """A person who insists: asks again until the word was taken, or cannot be taken any more."""

    def play(world: World) -> None:
        tries = 0

        def again() -> None:
            nonlocal tries
            if tries > INSISTS and not _awaits_approval(world):
                return
            tries += 1
            word = PayoutReview(decision=decision, actor="boss", reason="looked at it")
            if _awaits_approval(world) or not _answered(world):
                for present in world.server.runs:
                    if present.open and present.workflow_id.startswith(PAYOUT_SAGA):
                        world.server.update(
                            present, "review", f"review-{world.clock.seconds}", word
                        )
                        break
            world.clock.after(1.5 if tries < 40 else 1800, again)

        world.clock.after(0.5, again)

    return play


def _swept(world: World) -> None:
    """The authorization's time has run out; the sweep comes by, again and again."""
    for payment in world.store.rows(Payment):
        payment.authorization_expires_at = world.clock.now()
    for seconds in (0.2, 1.5, 40, 3600, 7200):
        world.clock.after(seconds, partial(_sweep, world, seconds))


def _sweep(world: World, at: float) -> None:
    world.server.start("SweepAuthorizations", f"sweep-authorizations-{at}", SweepInput())


def _tell_first_open(world: World, word: PayoutReview) -> None:
    for run in world.server.runs:
        if run.open and run.workflow_id.startswith(PAYOUT_SAGA):
            world.server.update(run, "review", f"review-{world.clock.seconds}", word)
            return


def _awaits_approval(world: World) -> bool:
    return any(row.status == "awaiting_approval" for row in world.store.rows(Payout))


def _answered(world: World) -> bool:
    return any(
        name.startswith("review") and answer.result is not None and _ends(answer.result.data)
        for run in world.server.runs
        if run.workflow_id.startswith(PAYOUT_SAGA)
        for name, answer in run.answers.items()
    )


@lru_cache
def _ends(answer: bytes) -> bool:
    """Whether there is nothing more to ask for after this answer."""
    reviewed = PayoutReviewed.model_validate_json(answer)
    return reviewed.refusal is None or reviewed.refusal.code == "payout_not_cancelable"


_APPROVAL = {"payout": {"approval_above": 1}}
_TO_BANK = {"destination": {"type": "bank_token", "token": "tok_bank"}}
_DAILY = {"payout": {"schedule": "daily", **_TO_BANK}}
_NOWHERE = {"payout": {"schedule": "daily"}}


def _money_of(*merchants: str) -> tuple[AnySagaInput, ...]:
    """A captured payment of each: what a run finds due."""
    return tuple(
        AUTOMATIC.model_copy(update={"payment_id": f"pay_{merchant}", "merchant_id": merchant})
        for merchant in merchants
    )


def _while_money_comes_in(world: World) -> None:
    """After the list is frozen, a merchant has enough for being paid twice."""
    late = AUTOMATIC.model_copy(update={"payment_id": "pay_late", "reference": "order-2"})
    if late not in world.asked:
        world.clock.after(0.05, partial(_ask, world, late))
    carrying("approve")(world)


def _ask(world: World, saga: AnySagaInput) -> None:
    world.ask(saga)


_ROUTED = {"routing": {"prefer": [PROVIDER, SPARE]}}
_CARD = ("authorize",)
_BOTH = ("authorize", "capture")

SCENES: dict[str, Scene] = {
    "authorize": Scene(AUTHORIZE, _CARD),
    "authorize_declined": Scene(AUTHORIZE, _CARD, habits={"declines": ProviderOperation.AUTHORIZE}),
    "authorize_pending": Scene(AUTHORIZE, _CARD, habits={"final_word": "approved"}),
    "authorize_pending_declined": Scene(AUTHORIZE, _CARD, habits={"final_word": "declined"}),
    "authorize_pending_for_ever": Scene(
        AUTHORIZE, _CARD, habits={"final_word": "never"}, asks=True
    ),
    "authorize_action": Scene(AUTHORIZE, _CARD, habits={"action": "completed"}),
    "authorize_action_failed": Scene(AUTHORIZE, _CARD, habits={"action": "failed"}),
    "authorize_action_ignored": Scene(
        AUTHORIZE, ("authorize", "void"), habits={"action": "ignored"}
    ),
    "authorize_refused": Scene(
        AUTHORIZE.model_copy(update={"payment_id": "pay_2"}), (), before=(AUTHORIZE,)
    ),
    "routed_authorize": Scene(AUTHORIZE, _CARD, merchant=_ROUTED),
    "routed_declined": Scene(
        AUTHORIZE,
        _CARD,
        merchant=_ROUTED,
        habits={"declines_first_leg": ProviderOperation.AUTHORIZE},
    ),
    "routed_automatic": Scene(AUTOMATIC, _BOTH, merchant=_ROUTED),
    "routed_payout": Scene(PAYOUT, ("create_payout",), before=(AUTOMATIC,), merchant=_ROUTED),
    "automatic": Scene(AUTOMATIC, _BOTH),
    "automatic_declined": Scene(
        AUTOMATIC, (*_BOTH, "void"), habits={"declines": ProviderOperation.CAPTURE}
    ),
    "automatic_pending": Scene(AUTOMATIC, _BOTH, habits={"final_word": "approved"}),
    "capture": Scene(CAPTURE_ALL, ("capture",), before=(AUTHORIZE,)),
    "capture_part": Scene(CAPTURE_PART, ("capture",), before=(AUTHORIZE,)),
    "capture_last": Scene(CAPTURE_LAST, ("capture",), before=(AUTHORIZE,)),
    "capture_pending": Scene(
        CAPTURE_PART, ("capture",), before=(AUTHORIZE,), habits={"final_word": "approved"}
    ),
    "capture_declined": Scene(
        CAPTURE_PART,
        ("capture",),
        before=(AUTHORIZE,),
        habits={"declines": ProviderOperation.CAPTURE},
    ),
    "void": Scene(VOID, ("void",), before=(AUTHORIZE,)),
    "void_expiry": Scene(EXPIRY, ("void",), before=(AUTHORIZE,)),
    "void_swept": Scene(VOID, ("void",), before=(AUTHORIZE,), play=_swept),
    "capture_swept": Scene(CAPTURE_PART, ("capture", "void"), before=(AUTHORIZE,), play=_swept),
    "void_rest": Scene(VOID, ("void",), before=(AUTHORIZE, CAPTURE_PART)),
    "void_declined": Scene(
        VOID, ("void",), before=(AUTHORIZE,), habits={"declines": ProviderOperation.VOID}
    ),
    "refund": Scene(
        REFUND_ALL, ("refund",), before=(AUTOMATIC,), merchant={"fees": {}, "reserve": {}}
    ),
    "refund_part": Scene(REFUND_PART, ("refund",), before=(AUTOMATIC,)),
    "refund_held": Scene(
        REFUND_PART,
        ("refund",),
        before=(AUTOMATIC,),
        merchant={"availability_rule": "on_settlement"},
    ),
    "refund_pending": Scene(
        REFUND_PART, ("refund",), before=(AUTOMATIC,), habits={"final_word": "approved"}
    ),
    "refund_pending_declined": Scene(
        REFUND_PART, ("refund",), before=(AUTOMATIC,), habits={"final_word": "declined"}
    ),
    "refund_declined": Scene(
        REFUND_PART,
        ("refund",),
        before=(AUTOMATIC,),
        habits={"declines": ProviderOperation.REFUND},
    ),
    "payout": Scene(PAYOUT, ("create_payout",), before=(AUTOMATIC,)),
    "payout_failed": Scene(
        PAYOUT, ("create_payout",), before=(AUTOMATIC,), habits={"payout_end": PayoutState.FAILED}
    ),
    "payout_returned": Scene(
        PAYOUT,
        ("create_payout",),
        before=(AUTOMATIC,),
        habits={"payout_end": PayoutState.RETURNED},
    ),
    "payout_poor": Scene(PAYOUT.model_copy(update={"amount": 2 * AMOUNT}), (), before=(AUTOMATIC,)),
    "payout_approved": Scene(
        PAYOUT,
        ("create_payout",),
        before=(AUTOMATIC,),
        merchant=_APPROVAL,
        play=_reviewing(PayoutReviewDecision.APPROVE),
    ),
    "payout_rejected": Scene(
        PAYOUT,
        (),
        before=(AUTOMATIC,),
        merchant=_APPROVAL,
        play=_reviewing(PayoutReviewDecision.REJECT),
    ),
    "payout_canceled": Scene(
        PAYOUT,
        ("create_payout", "cancel_payout"),
        before=(AUTOMATIC,),
        play=_reviewing(PayoutReviewDecision.CANCEL),
    ),
    "run": Scene(
        RUN,
        ("create_payout",),
        before=_money_of(MERCHANT, "mer_2", "mer_3"),
        merchant=_DAILY,
        others={"mer_2": {}, "mer_3": {}},
        play=_while_money_comes_in,
    ),
    "run_failing": Scene(
        RUN,
        (),
        before=_money_of(MERCHANT, "mer_2", "mer_3"),
        merchant=_DAILY,
        others={"mer_2": {}, "mer_3": _NOWHERE},
        habits={"payout_end": PayoutState.FAILED},
        play=carrying("approve"),
    ),
    "run_rejected": Scene(
        RUN,
        (),
        before=_money_of(MERCHANT, "mer_2"),
        merchant=_DAILY,
        others={"mer_2": {}},
        play=carrying("reject"),
    ),
    "run_triggered": Scene(
        RUN.model_copy(update={"requested_by": "schedule:daily", "fired_at": EPOCH}),
        (),
        before=_money_of(MERCHANT, "mer_2"),
        merchant=_DAILY,
        others={"mer_2": {}},
        play=triggering,
    ),
}
