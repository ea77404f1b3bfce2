"""The provider port: what every adapter offers, in our words.

An adapter answers a money call with one of four outcomes or raises: `ProviderUnavailable` (this try
was never sent),
`OutcomeUnknown` (it may have been), `ProviderAnswerMismatch` or `ProviderAccessDenied`. `Unknown`
is the fifth outcome:
adapters return it from `lookup` and `verify_webhook`, where "the provider cannot say" is an answer
and not a failed call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from recompense.domain.money import Amount, Currency

if TYPE_CHECKING:
    from recompense.contracts.settlement import ReportEnd, SettlementLine


class Frozen(BaseModel):
    """A value: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Approved(Frozen):
    """The effect was made. `reference` is the provider's own name of it.

    `expires_at` is set where the effect lapses by itself (an authorization); `amount` where it may
    differ from what was asked.
    """

    kind: Literal["approved"] = "approved"
    reference: str
    expires_at: datetime | None = None


class Declined(Frozen):
    """The provider refused and made no effect. `code` is ours and stable; `provider_code` is the
    vendor's word.
    """

    kind: Literal["declined"] = "declined"
    code: str
    message: str
    provider_code: str | None = None
    retryable_elsewhere: bool = False


class Pending(Frozen):
    """Accepted, the final word comes later, by webhook or by asking again after
    `poll_after_seconds`.
    """

    kind: Literal["pending"] = "pending"
    reference: str
    poll_after_seconds: float = 1.0


class RequiresAction(Frozen):
    """The payer must do something first, at `redirect_url`."""

    kind: Literal["requires_action"] = "requires_action"
    reference: str
    redirect_url: str


class Unknown(Frozen):
    """Nobody can say yet what happened."""

    kind: Literal["unknown"] = "unknown"
    why: str


class Absent(Frozen):
    """A look-up found no effect under this key. Whether that is final is the policy's word
    (`absent_is_final_after_seconds`).
    """

    kind: Literal["absent"] = "absent"


Outcome = Annotated[
    Approved | Declined | Pending | RequiresAction | Unknown, Field(discriminator="kind")
]
LookupAnswer = Annotated[
    Approved | Declined | Pending | RequiresAction | Unknown | Absent, Field(discriminator="kind")
]
FinalOutcome = Annotated[Approved | Declined | Absent, Field(discriminator="kind")]


class ProviderOperation(StrEnum):
    """The calls that a provider offers. The first five move money."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    CREATE_PAYOUT = "create_payout"
    CANCEL_PAYOUT = "cancel_payout"
    LOOKUP = "lookup"
    REPORT = "report"


class ReportFormat(StrEnum):
    """In which form a provider writes its settlement report."""

    CSV = "csv"
    NDJSON = "ndjson"
    CAMT_053 = "camt.053"


class Capabilities(Frozen):
    """What a provider can do, as data: routing and the sagas ask here and nowhere else."""

    operations: frozenset[ProviderOperation]
    partial_capture: bool
    multiple_capture: bool
    partial_refund: bool
    void_after_partial_capture: bool
    batch_payouts: bool = False
    lookup_by_reference: bool
    truth_by_webhook: bool = Field(
        default=False, description="look-ups read the verified webhooks; the provider has no other"
    )
    native_idempotency: bool
    authorization_validity_seconds: int
    currencies: frozenset[str] | None = Field(description="None: every ISO 4217 currency")
    settlement_report: ReportFormat | None = None
    webhook_events: frozenset[str] = frozenset()
    webhook_answer: str | None = Field(
        default=None, description="the text that acknowledges a webhook; None: ours"
    )


class MoneyCall(Frozen):
    """What every money call carries: our reference, the effect key, the amount, and until when it
    may be written out.
    """

    operation_id: str
    effect_key: str
    amount: Amount
    currency: Currency
    send_by: datetime = Field(
        description="UTC; the transport refuses to write the request after it"
    )


class AuthorizeCall(MoneyCall):
    """Ask for an authorization of a tokenized payment method. `merchant_id` and `description` are
    for statements.
    """

    operation: Literal[ProviderOperation.AUTHORIZE] = ProviderOperation.AUTHORIZE
    token: str
    merchant_id: str
    description: str | None = None


class CaptureCall(MoneyCall):
    """Capture `amount` of an authorization. `final` releases the rest of it."""

    operation: Literal[ProviderOperation.CAPTURE] = ProviderOperation.CAPTURE
    authorization_reference: str
    final: bool


class VoidCall(MoneyCall):
    """Void what is left of an authorization; `amount` is what we believe is left."""

    operation: Literal[ProviderOperation.VOID] = ProviderOperation.VOID
    authorization_reference: str


class RefundCall(MoneyCall):
    """Refund `amount` of what was captured under an authorization. `capture_reference` narrows it
    to one capture.
    """

    operation: Literal[ProviderOperation.REFUND] = ProviderOperation.REFUND
    authorization_reference: str
    capture_reference: str | None = None
    reason: str | None = None


class CreatePayoutCall(MoneyCall):
    """Send `amount` to a tokenized bank destination."""

    operation: Literal[ProviderOperation.CREATE_PAYOUT] = ProviderOperation.CREATE_PAYOUT
    token: str
    merchant_id: str


class CancelPayoutCall(MoneyCall):
    """Take a payout back that is not paid yet."""

    operation: Literal[ProviderOperation.CANCEL_PAYOUT] = ProviderOperation.CANCEL_PAYOUT
    payout_reference: str


AnyMoneyCall = Annotated[
    AuthorizeCall | CaptureCall | VoidCall | RefundCall | CreatePayoutCall | CancelPayoutCall,
    Field(discriminator="operation"),
]


class ProviderEvent(Frozen):
    """A verified inbound webhook, in our words. It is a hint to pull, never a state by itself.

    `event_id` is the provider's own id and identifies the delivery for ever; `operation_id` and
    `effect_key` are ours,
    echoed by the provider, where it echoes them.
    """

    provider: str
    event_id: str
    event_type: str
    object_reference: str | None
    operation_id: str | None
    effect_key: str | None
    occurred_at: datetime | None
    payload: Mapping[str, Any]


class WebhookRefused(Exception):
    """The delivery is forged, stale or malformed: answered with 4xx, nothing stored but the audit
    line. `code` is stable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PayoutState(StrEnum):
    """Where the provider says a payout stands."""

    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    CANCELED = "canceled"


class AuthorizationState(StrEnum):
    """Where the provider says an authorization stands."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    AUTHORIZED = "authorized"
    VOIDED = "voided"
    EXPIRED = "expired"
    DECLINED = "declined"


class Found(Frozen):
    """What a look-up knows: the outcome of the one effect that was asked for, and the object's
    present state.

    `payout_state` tells a payout's later life: `Approved` with `PAID` is final, with `RETURNED` the
    money came back.
    """

    answer: LookupAnswer
    payout_state: PayoutState | None = None
    authorization_state: AuthorizationState | None = None


class ProviderPort(Protocol):
    """What the sagas may ask of a provider. Money calls raise as the module says; they never return
    `Unknown` for a lost answer.
    """

    async def authorize(self, call: AuthorizeCall) -> Outcome: ...
    async def capture(self, call: CaptureCall) -> Outcome: ...
    async def void(self, call: VoidCall) -> Outcome: ...
    async def refund(self, call: RefundCall) -> Outcome: ...
    async def create_payout(self, call: CreatePayoutCall) -> Outcome:
        """`Pending` while the money is on its way, `Approved` once it is paid."""
        ...

    async def cancel_payout(self, call: CancelPayoutCall) -> Outcome: ...

    async def lookup(
        self,
        *,
        operation: ProviderOperation,
        operation_id: str,
        effect_key: str,
        step: str,
        amount: int | None = None,
        currency: str | None = None,
    ) -> Found:
        """Ask for exactly one effect, by our reference and its effect key. Moves nothing.

        `amount` and `currency`, where given, are checked against what is found
        (`ProviderAnswerMismatch`).
        """
        ...

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> ProviderEvent:
        """Verify signature, age and shape. Raises `WebhookRefused`; never anything else, whatever
        the input.
        """
        ...

    def fetch_settlement_report(self, report_date: date) -> AsyncIterator[bytes]:
        """Stream the raw report of one date, so that its size does not matter. Raises as the module
        says.
        """
        ...

    def read_settlement_report(
        self, chunks: Iterable[bytes], report_date: date
    ) -> Iterator[SettlementLine | ReportEnd]:
        """Read the raw report of one date, line by line. Pure, and in bounded memory.

        Raises `ReportRefused`, perhaps after lines were read; never anything else, whatever the
        input.
        """
        ...

    async def aclose(self) -> None: ...


class CallRecord(Frozen):
    """One HTTP call to a provider as the transport saw it.

    Holds no token, no secret and no body.
    """

    provider: str
    operation: str
    effect_key: str | None
    at: datetime
    status: int | None
    duration_ms: int
    outcome: str


class ProviderConfig(BaseModel):
    """Base of each adapter's own configuration; built from settings by the composition root."""

    model_config = ConfigDict(frozen=True, extra="forbid")
