"""What sagas and activities say to each other. These shapes stand in recorded histories."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal

from pydantic import Field

from recompense.contracts.policies import CallPolicy, PendingPolicy
from recompense.contracts.provider import (
    Absent,
    AnyMoneyCall,
    Approved,
    AuthorizationState,
    CallRecord,
    Declined,
    Frozen,
    PayoutState,
    Pending,
    RequiresAction,
)
from recompense.contracts.sagas import Refusal, Resolution, Resource, SagaRef, Verdict

KnownOutcome = Annotated[
    Approved | Declined | Pending | RequiresAction | Absent, Field(discriminator="kind")
]


class SendRight(Frozen):
    """Leave for one run's first try to send an effect, until `send_by` by the database's clock."""

    run_id: str
    granted_at: datetime
    send_by: datetime


class EffectTerms(Frozen):
    """The provider's terms that bound how an effect may be sent again. Seconds."""

    send_right_seconds: float
    clock_skew_seconds: float
    absent_is_final_after_seconds: float
    idempotency_window_seconds: float


class EffectPlan(Frozen):
    """One journaled effect at a provider, and the policies in force for it.

    `elsewhere` names the providers that may make it once it provably did not happen at this one.
    `absence_counts` is false once the provider has said that it made something, though not what was
    asked for: a look-up that then shows nothing proves nothing.
    """

    saga: SagaRef
    step: str
    attempt: int
    leg: int = 1
    provider: str
    call: AnyMoneyCall
    right: SendRight | None
    policy: CallPolicy
    lookup: CallPolicy
    pending: PendingPolicy
    terms: EffectTerms
    absence_counts: bool = True
    elsewhere: tuple[str, ...] = ()

    def without_right(self) -> EffectPlan:
        """The same effect for a later try: it has to read the journal, and look up, before it may
        send.
        """
        return self.model_copy(update={"right": None})


class AnswerSource(StrEnum):
    """Who told us what became of an effect."""

    ANSWER = "answer"
    JOURNAL = "journal"
    LOOKUP = "lookup"
    EVENT = "event"
    PERSON = "person"


class EffectAnswer(Frozen):
    """What is known of an effect. With another verdict than `PROCEED` nothing was sent and
    `outcome` says nothing.
    """

    outcome: KnownOutcome
    source: AnswerSource = AnswerSource.ANSWER
    verdict: Verdict = Verdict.PROCEED
    calls: tuple[CallRecord, ...] = ()
    payout_state: PayoutState | None = None
    authorization_state: AuthorizationState | None = None

    @property
    def is_final(self) -> bool:
        """Whether this outcome ends the step: no later word may change it."""
        return self.outcome.kind in {"approved", "declined", "absent"}


NOTHING_TO_UNDO = frozenset(
    {"already_voided", "already_canceled", "authorization_expired", "abandoned"}
)
"""Declines of an undo that say that there is nothing to undo any more."""


def is_undone(answer: EffectAnswer) -> bool:
    """Whether this answer to an undo means that the effect does not stand any more.

    Any other decline, or an undo that never reached the provider, leaves the effect standing.
    """
    outcome = answer.outcome
    if isinstance(outcome, Declined):
        return outcome.code in NOTHING_TO_UNDO
    return isinstance(outcome, Approved)


class StepRef(Frozen):
    """A step of one attempt of an operation."""

    saga: SagaRef
    attempt: int


class RecordEffect(StepRef):
    """Write an effect's outcome, and what follows from it, in one transaction.

    `stays`: it is not made elsewhere any more, whatever its route allows.
    """

    step: str
    leg: int = 1
    answer: EffectAnswer
    stays: bool = False


class Admitted(Frozen, Generic[Resource]):
    """What `admit` decided, once for each attempt: the plan of the first effect, or the refusal.

    `route` names the providers in the order in which they are asked; the plan is for the first.
    """

    verdict: Verdict
    attempt: int
    refusal: Refusal | None = None
    effect: EffectPlan | None = None
    resource: Resource | None = None
    route: tuple[str, ...] = ()


class Recorded(Frozen, Generic[Resource]):
    """The resource after a step, and the next effect where the same transaction granted its send
    right: another step, or a further leg of the same one at another provider.
    """

    verdict: Verdict
    resource: Resource | None = None
    next_effect: EffectPlan | None = None
    orphan_undo: EffectPlan | None = None


class UndoCause(Frozen):
    """Why an attempt is taken back.

    `red` is true when a person should look: the saga then fails and may be replayed. `final_status`
    is what the resource
    becomes; None: `failed`.
    """

    code: str
    message: str
    provider_code: str | None = None
    red: bool = True
    final_status: str | None = None


class BeginCompensation(StepRef):
    """Move the attempt to `compensating`, before the first compensation runs."""

    cause: UndoCause


class CompensationPlan(Frozen):
    """What has to be undone at the provider. `PROCEED` with no effect: nothing there to undo.

    `nothing_to_do` is true when the attempt was recorded after all: the operation stands and
    nothing is taken back.
    `cause` is the first cause that was given: a joining run adopts it.
    """

    verdict: Verdict
    nothing_to_do: bool = False
    cause: UndoCause
    undo: EffectPlan | None = None


class CompensationReport(Frozen):
    """How an attempt was taken back: kept with the attempt, and shown with the failed saga."""

    saga_id: str
    attempt: int
    cause: UndoCause
    undone: tuple[str, ...]


class CloseAttempt(StepRef):
    """Everything is undone: close the attempt, so that a later run may open the next one."""

    report: CompensationReport


class Park(StepRef):
    """The saga waits for a person. `unless_known`: a final outcome in the journal answers it."""

    step: str
    question: str
    leg: int = 1
    unless_known: bool = False


class Resolve(StepRef):
    """A person's answer to a parked saga, to be audited and applied to the journal."""

    step: str
    leg: int = 1
    resolution: Resolution


class Resolved(Frozen):
    """The journal's word after a person's answer; None: try again. An outcome that became known
    meanwhile wins.
    """

    verdict: Verdict
    answer: EffectAnswer | None = None


class ReviewPayout(StepRef):
    """A person's word about a payout that awaits approval."""

    approve: bool
    final_status: Literal["rejected", "canceled"] | None = None
    actor: str
    reason: str | None = None


class ProviderWord(Frozen):
    """The signal `provider_word`: an event told what became of an effect."""

    step: str
    attempt: int
    leg: int = 1
    answer: EffectAnswer


class EventTarget(Frozen):
    """Which effect a stored event speaks of. None of them: there is nothing of ours behind it.

    `completes`: it holds what the payer brought back, and the provider has to be handed it.
    """

    effect: EffectPlan | None = None
    completes: bool = False


class CompleteAction(Frozen):
    """Hand a provider what the payer brought back: the parameters are in the stored event."""

    event_id: str
    effect: EffectPlan


class ActionCompleted(Frozen):
    """What came of it. `answer` None: nothing, for the reason in `detail`."""

    answer: EffectAnswer | None = None
    detail: str = ""


class ApplyEvent(Frozen):
    """Apply what the provider says now about the effect that an event pointed to."""

    provider: str
    event_id: str
    effect: EffectPlan
    answer: EffectAnswer


class EventApplied(Frozen):
    """What applying did. `signal` is the saga that waits for this word; `orphan_undo` an effect
    that has to be taken back.
    """

    detail: str
    signal: str | None = None
    word: ProviderWord | None = None
    orphan_undo: EffectPlan | None = None


class SettleOrphan(Frozen):
    """An orphan was undone (`Approved`, or `Declined` because nothing is left to undo), or a person
    must look.
    """

    effect: EffectPlan
    answer: EffectAnswer | None


class ForgetOrphans(Frozen):
    """A person has undone at the provider what stood there of this saga's earlier attempts."""

    saga: SagaRef
    actor: str
    reason: str


class Expiring(Frozen):
    """An authorization past its validity, with the number of the void that ends it."""

    payment_id: str
    merchant_id: str
    number: int


class ExpiringPage(Frozen):
    """A page of authorizations to end. `cursor` None: it was the last page."""

    items: tuple[Expiring, ...]
    cursor: str | None = None


class PageRequest(Frozen):
    """Ask for a page of work, after `cursor`."""

    page_size: int
    cursor: str | None = None


class PageDone(Frozen):
    """How many items a page handled. `cursor` None: it was the last page."""

    handled: int
    cursor: str | None = None


class SagaResult(Frozen):
    """The result of a saga's run: in what state it leaves the operation, in words that Temporal's
    UI shows.
    """

    saga_id: str
    attempt: int
    ended: str
    resource: dict[str, Any] | None = None
