"""Workflow inputs and results: names, ids and shapes that recorded histories rely on.

An input is complete: a saga that is started again from it, under any workflow id, is the same
operation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from recompense.contracts.provider import Frozen
from recompense.contracts.views import CaptureView, PaymentView, PayoutView, RefundView
from recompense.domain.money import Amount, Currency
from recompense.domain.states import PayoutStatus

SAGA_TASK_QUEUE = "sagas"
DECISION_UPDATE_ID = "decision"


def provider_task_queue(provider: str) -> str:
    """The task queue of one provider's calls: its own rate limit and bulkhead."""
    return f"provider-{provider}"


class SagaKind(StrEnum):
    """The lifecycles. The value is the first part of the workflow id."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    PAYOUT = "payout"


class SagaRef(Frozen):
    """Which operation a step belongs to. `saga_id` is the canonical workflow id, whatever id a copy
    runs under.

    `operation_id` is our reference at the provider; a void shares it with its authorization.
    """

    saga_id: str
    kind: SagaKind
    operation_id: str
    merchant_id: str
    payment_id: str | None = None


class AuthorizeInput(Frozen):
    """Authorize a payment, and capture it at once where `capture_method` says so."""

    kind: Literal[SagaKind.AUTHORIZE] = SagaKind.AUTHORIZE
    payment_id: str
    merchant_id: str
    amount: Amount
    currency: Currency
    token: str
    payment_method: str = "card_token"
    capture_method: Literal["manual", "automatic"] = "manual"
    provider: str | None = None
    reference: str | None = None
    description: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    requested_by: str

    def ref(self) -> SagaRef:
        """Name this operation."""
        return SagaRef(
            saga_id=f"authorize/{self.payment_id}",
            kind=self.kind,
            operation_id=self.payment_id,
            merchant_id=self.merchant_id,
            payment_id=self.payment_id,
        )


class CaptureInput(Frozen):
    """Capture `amount` of a payment's authorization; None: all that is capturable when the saga
    decides.
    """

    kind: Literal[SagaKind.CAPTURE] = SagaKind.CAPTURE
    capture_id: str
    payment_id: str
    merchant_id: str
    amount: Amount | None = None
    final: bool = False
    requested_by: str

    def ref(self) -> SagaRef:
        """Name this operation."""
        return SagaRef(
            saga_id=f"capture/{self.capture_id}",
            kind=self.kind,
            operation_id=self.capture_id,
            merchant_id=self.merchant_id,
            payment_id=self.payment_id,
        )


class VoidInput(Frozen):
    """Void what is neither captured nor reserved. `number` counts the requests to void this
    payment.
    """

    kind: Literal[SagaKind.VOID] = SagaKind.VOID
    payment_id: str
    merchant_id: str
    number: int = Field(ge=1)
    cause: Literal["request", "expiry"] = "request"
    reason: str | None = None
    requested_by: str

    def ref(self) -> SagaRef:
        """Name this operation. The provider knows it by the payment's id, as it knows the
        authorization.
        """
        return SagaRef(
            saga_id=f"void/{self.payment_id}/{self.number}",
            kind=self.kind,
            operation_id=self.payment_id,
            merchant_id=self.merchant_id,
            payment_id=self.payment_id,
        )


class RefundInput(Frozen):
    """Refund `amount` of what was captured; None: all that is refundable when the saga decides."""

    kind: Literal[SagaKind.REFUND] = SagaKind.REFUND
    refund_id: str
    payment_id: str
    merchant_id: str
    amount: Amount | None = None
    reason: str | None = None
    requested_by: str

    def ref(self) -> SagaRef:
        """Name this operation."""
        return SagaRef(
            saga_id=f"refund/{self.refund_id}",
            kind=self.kind,
            operation_id=self.refund_id,
            merchant_id=self.merchant_id,
            payment_id=self.payment_id,
        )


class PayoutInput(Frozen):
    """Pay `amount` of a merchant's available balance out to a bank token. `provider` None: the
    default provider.
    """

    kind: Literal[SagaKind.PAYOUT] = SagaKind.PAYOUT
    payout_id: str
    merchant_id: str
    amount: Amount
    currency: Currency
    token: str
    provider: str | None = None
    reference: str | None = None
    run_id: str | None = None
    requested_by: str

    def ref(self) -> SagaRef:
        """Name this operation."""
        return SagaRef(
            saga_id=f"payout/{self.payout_id}",
            kind=self.kind,
            operation_id=self.payout_id,
            merchant_id=self.merchant_id,
        )


SagaInput = Annotated[
    AuthorizeInput | CaptureInput | VoidInput | RefundInput | PayoutInput,
    Field(discriminator="kind"),
]


class Refusal(Frozen):
    """The state or a rule forbids the operation: the API answers 409 with this code.

    Nothing moved.
    """

    code: str
    message: str
    members: dict[str, str] = Field(default_factory=dict)


Resource = TypeVar("Resource", PaymentView, CaptureView, RefundView, PayoutView)


class Decision(Frozen, Generic[Resource]):
    """What the update `decision` answers: the resource once its outcome is known, or the refusal.
    Exactly one is set.
    """

    resource: Resource | None = None
    refusal: Refusal | None = None


class Verdict(StrEnum):
    """How a run that asked for a step has to go on."""

    PROCEED = "proceed"
    """The step is done, now or by an earlier try."""
    JOIN_COMPENSATION = "join_compensation"
    """The attempt is being compensated: help to finish that."""
    START_OVER = "start_over"
    """This run was first seen after its attempt had closed, and has opened the next one: begin
    again.
    """
    SUPERSEDED = "superseded"
    """Another run closed the attempt this run was part of: end without doing anything."""
    CONFLICT = "conflict"
    """A second, different final outcome arrived, or the books refuse: a person must look."""


class ResolveDecision(StrEnum):
    """A person's answer to a parked saga."""

    RETRY = "retry"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Resolution(Frozen):
    """The update `resolve`: what a person decided about a parked saga, who and why.

    `succeeded` says that the effect was made, under `provider_reference`; `failed` that it was not
    and never will be.
    """

    decision: ResolveDecision
    actor: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    provider_reference: str | None = None


class PayoutReviewDecision(StrEnum):
    """What a person may say about a payout on its way."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"


class PayoutReview(Frozen):
    """The update `review` of a payout: approval, rejection, or a request to take it back."""

    decision: PayoutReviewDecision
    actor: str = Field(min_length=1)
    reason: str | None = None


class PayoutReviewed(Frozen):
    """The answer of `review`: the payout afterwards, or why it was refused."""

    payout: PayoutView | None = None
    refusal: Refusal | None = None
    status: PayoutStatus | None = None


class SagaStatus(Frozen):
    """The query `status`: where a run stands, in plain words."""

    state: str
    attempt: int
    doing: str
    question: str | None = None
    compensations: tuple[str, ...] = ()


class SweepInput(Frozen):
    """One sweep over expired authorizations. `page_size` bounds one activity, not the sweep."""

    page_size: int = Field(default=100, ge=1, le=1000)


class ProviderEventInput(Frozen):
    """Apply one stored inbound webhook."""

    provider: str
    event_id: str


CancelReason = Literal["canceled_by_operator"]
