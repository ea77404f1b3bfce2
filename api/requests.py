"""The bodies of requests: what a caller may say, and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, JsonValue, model_validator

from api.bodies import Body
from recompense.domain.money import Amount, Currency
from recompense.domain.terms import (
    Availability,
    FeeSchedule,
    PayoutTerms,
    ProviderName,
    RoutingTerms,
)

Token = Annotated[str, Field(pattern=r"^[!-~]+$", min_length=1, max_length=255)]
MerchantId = Annotated[str, Field(pattern=r"^mer_[A-Za-z0-9_-]{1,59}$")]
Reference = Annotated[str, Field(min_length=1, max_length=255)]
Words = Annotated[str, Field(min_length=1, max_length=1000)]
MetadataName = Annotated[str, Field(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Field(max_length=500)]


def _example(**body: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


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
        availability={"rule": "on_capture"},
        payout={"approval_above": 100000},
    )

    id: MerchantId | None = None
    name: Annotated[str, Field(min_length=1, max_length=200)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1, two letters")]
    payout: PayoutTerms = PayoutTerms()
    fees: FeeSchedule = FeeSchedule()
    availability: Availability = Availability()
    routing: RoutingTerms = RoutingTerms()

    @model_validator(mode="after")
    def _terms_fit(self) -> Self:
        given = self.availability.model_fields_set
        if (self.availability.rule == "after_days") != ("days" in given):
            raise ValueError("availability.days belongs to the rule after_days, and only to it")
        if self.payout.time_zone is not None and not _is_zone(self.payout.time_zone):
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
