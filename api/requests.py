"""The bodies of requests: what a caller may say, and nothing else."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from api.bodies import Body
from recompense.contracts.events import ALL_EVENTS, EVENT_TYPES
from recompense.contracts.payout_runs import RunName
from recompense.contracts.reconciliation import FIRST_REPORT_DATE, LAST_REPORT_DATE
from recompense.domain.calendar import is_time_zone
from recompense.domain.money import Amount, Currency
from recompense.domain.terms import (
    Availability,
    FeeSchedule,
    PayoutTerms,
    ProviderName,
    ReserveTerms,
    RoutingTerms,
)

Token = Annotated[str, Field(pattern=r"^[!-~]+$", min_length=1, max_length=255)]
MerchantId = Annotated[str, Field(pattern=r"^mer_[A-Za-z0-9_-]{1,59}$")]
Reference = Annotated[str, Field(min_length=1, max_length=255)]
EndpointId = Annotated[str, Field(pattern=r"^whe_[0-9A-Z]{26}$")]
Words = Annotated[str, Field(min_length=1, max_length=1000)]
MetadataName = Annotated[str, Field(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Field(max_length=500)]


ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
ParameterValue = Annotated[str, Field(pattern=r"^[ -~]+$", max_length=20_000)]


def _read_date(value: object) -> object:
    """JSON has no dates, and bodies are strict: this one spelling is read, and no other."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        return date.fromisoformat(value)
    return value


BusinessDate = Annotated[
    date, BeforeValidator(_read_date), Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))
]
ReportDate = Annotated[
    date, BeforeValidator(_read_date), Field(ge=FIRST_REPORT_DATE, le=LAST_REPORT_DATE)
]


def _example(**body: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class CardToken(Body):
    """A payment method that the provider has tokenized."""

    type: Literal["card_token"]
    token: Token


class BankToken(Body):
    """A bank account that the provider has tokenized."""

    type: Literal["bank_token"]
    token: Token


class CreateMerchant(Body):
    """Make a merchant. Only `name` and `country` are required; no `fees` means none."""

    model_config = _example(
        name="Shop One",
        country="DE",
        availability={"rule": "after_days", "days": 2, "business_days": True},
        fees={
            "basis_points": 140,
            "fixed": {"EUR": 25},
            "minimum": {"EUR": 30},
            "maximum": {"EUR": 5000},
            "exceptions": [{"currency": "JPY", "basis_points": 300}],
            "on_refund": "returned",
            "payout_return": {"EUR": 250},
        },
        reserve={"basis_points": 1000, "days": 90},
        payout={"approval_above": 100000},
    )

    id: MerchantId | None = None
    name: Annotated[str, Field(min_length=1, max_length=200)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters")]
    payout: PayoutTerms = PayoutTerms()
    fees: FeeSchedule = FeeSchedule()
    availability: Availability = Availability()
    reserve: ReserveTerms = ReserveTerms()
    routing: RoutingTerms = RoutingTerms()

    @model_validator(mode="after")
    def _terms_fit(self) -> Self:
        given = self.availability.model_fields_set
        if (self.availability.rule == "after_days") != ("days" in given):
            raise ValueError("availability.days belongs to the rule after_days, and only to it")
        if self.availability.business_days and "days" not in given:
            raise ValueError("availability.business_days belongs to the rule after_days")
        if self.payout.time_zone is not None and not is_time_zone(self.payout.time_zone):
            raise ValueError("payout.time_zone is no zone of the IANA database")
        if self.payout.destination is not None:
            BankToken.model_validate(self.payout.destination)
        return self


class CreatePayment(Body):
    """Authorize a payment; with `automatic`, capture it at once."""

    model_config = _example(
        merchant_id="mer_demo",
        amount=1234,
        currency="EUR",
        payment_method={"type": "card_token", "token": "tok_ok"},
        capture_method="manual",
        reference="order-1001",
    )

    merchant_id: MerchantId
    amount: Amount
    currency: Currency
    payment_method: CardToken
    capture_method: Literal["manual", "automatic"] = "manual"
    provider: ProviderName | None = None
    reference: Reference | None = None
    description: Words | None = None
    metadata: dict[MetadataName, MetadataValue] = Field(default_factory=dict, max_length=50)


class CreateCapture(Body):
    """Capture an amount, by default all that is capturable. `final` releases the rest."""

    model_config = _example(amount=1000, final=False)

    amount: Amount | None = None
    final: bool = False


class VoidPayment(Body):
    """Void what is neither captured nor being captured."""

    model_config = _example(reason="the order was canceled")

    reason: Words | None = None


class CompletePayment(Body):
    """What the payer brought back from the action, as the provider put it into the address of the
    shop's page.
    """

    model_config = _example(parameters={"redirectResult": "X6XtfGC3!H4sIAAAAAAAA..."})

    parameters: dict[ParameterName, ParameterValue] = Field(default_factory=dict, max_length=10)


class CreateRefund(Body):
    """Refund an amount, by default all that is refundable."""

    model_config = _example(amount=500, reason="one item came back")

    amount: Amount | None = None
    reason: Words | None = None


class CreatePayout(Body):
    """Pay a merchant's available money out to a bank account."""

    model_config = _example(
        merchant_id="mer_demo",
        amount=5000,
        currency="EUR",
        destination={"type": "bank_token", "token": "tok_ok"},
    )

    merchant_id: MerchantId
    amount: Amount
    currency: Currency
    destination: BankToken
    reference: Reference | None = None


class CreatePayoutRun(Body):
    """Run now what a schedule would run. No `currency`: all of them, in one run."""

    model_config = _example(name="weekly", business_date="2026-11-27", currency="EUR")

    name: RunName
    business_date: BusinessDate
    currency: Currency | None = None


class ApprovePayoutRun(Body):
    """Approve a payout run, with all of its items."""

    model_config = _example(reason="totals checked against the ledger")

    reason: Words | None = None


class RefusePayoutRun(Body):
    """Reject a payout run: none of its items is paid."""

    model_config = _example(reason="the totals are too high")

    reason: Words


class ResumePayoutRun(Body):
    """Carry a payout run on: its failed items, or where nobody works on it any more."""

    model_config = _example(reason="the bank has corrected the accounts")

    reason: Words


class ApprovePayout(Body):
    """Approve a payout."""

    model_config = _example(reason="checked against the invoice")

    reason: Words | None = None


class RefusePayout(Body):
    """Reject or cancel a payout."""

    model_config = _example(reason="wrong account")

    reason: Words


class ReplaySaga(Body):
    """Carry a failed or parked saga on. A dry run says what would happen, and changes nothing."""

    model_config = _example(reason="the provider is back", dry_run=True)

    reason: Words
    dry_run: bool = False


class ResolveSaga(Body):
    """Answer a parked saga: try again, or say what is true at the provider."""

    model_config = _example(
        decision="succeeded", reason="seen in the provider's dashboard", provider_reference="sbx_1"
    )

    decision: Literal["retry", "succeeded", "failed"]
    reason: Words
    provider_reference: Token | None = None


class CreateReconciliation(Body):
    """Reconcile a provider's settlement report of one date."""

    model_config = _example(provider="sandbox", date="2026-11-24")

    provider: ProviderName
    date: ReportDate


class AssignBreak(Body):
    """Say who looks into a break; null: nobody in particular."""

    model_config = _example(assignee="finance-1")

    assignee: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")] | None


class ResolveBreak(Body):
    """Repair a break."""

    model_config = _example(action="accept", reason="the provider confirmed the fee")

    action: Literal["post", "reverse", "write_off", "accept"]
    reason: Words


class CreateWebhookEndpoint(Body):
    """Take events at a URL. `["*"]` is all of them; no `merchant_id` is all merchants."""

    model_config = _example(
        url="https://shop.example/hooks/payments", events=["payment.captured", "refund.succeeded"]
    )

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    events: Annotated[list[str], Field(min_length=1, max_length=100)]
    merchant_id: MerchantId | None = None

    @field_validator("events")
    @classmethod
    def _are_known(cls, events: list[str]) -> list[str]:
        unknown = [name for name in events if name != ALL_EVENTS and name not in EVENT_TYPES]
        if unknown:
            raise ValueError("holds a type of events that there is not")
        return list(dict.fromkeys(events))


class RotateSecret(Body):
    """Make a new secret. The one before it signs too for `overlap_hours`; 0 ends it at once."""

    model_config = _example(overlap_hours=24)

    overlap_hours: Annotated[int, Field(ge=0, le=168)] = 24


class EnableEndpoint(Body):
    """Deliver to a disabled endpoint again."""

    model_config = _example()


class SendTestEvent(Body):
    """Send a test event."""

    model_config = _example()


class RedeliverEvent(Body):
    """Deliver an event once more, to all endpoints that take it or to one of them."""

    model_config = _example()

    endpoint_id: EndpointId | None = None
