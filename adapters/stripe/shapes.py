"""The shapes of Stripe's objects, as far as they are believed."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adapters.transport import ProviderAnswer
from recompense.domain.failures import OutcomeUnknown


class Vendor(BaseModel):
    """Strict types, and room for fields that Stripe adds later.

    Texts that we keep are visible ASCII, so that no store chokes on them.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Named(Vendor):
    id: str = Field(pattern=r"^[!-~]{1,255}$")


class _Made(_Named):
    """Something that was made for an amount, with our words in its metadata."""

    amount: int = Field(gt=0, lt=2**63)
    currency: str = Field(pattern=r"^[a-z]{3}$")
    metadata: dict[str, str]


class _Card(Vendor):
    capture_before: int | None = Field(default=None, gt=0, lt=2**36)


class _MethodDetails(Vendor):
    card: _Card | None = None


class Charge(_Named):
    """A try to move the payer's money."""

    object: Literal["charge"]
    status: str
    captured: bool
    payment_method_details: _MethodDetails | None = None


class CardError(Vendor):
    """Why a payment failed."""

    code: str | None = Field(default=None, pattern=r"^[!-~]{1,100}$")
    decline_code: str | None = Field(default=None, pattern=r"^[!-~]{1,100}$")


class _Redirect(Vendor):
    url: str = Field(pattern=r"^https?://[!-~]{1,4000}$")


class _NextAction(Vendor):
    redirect_to_url: _Redirect | None = None


class Intent(_Made):
    """A PaymentIntent."""

    object: Literal["payment_intent"]
    status: str = Field(pattern=r"^[ -~]{1,64}$")
    amount_received: int | None = Field(default=None, ge=0, lt=2**63)
    latest_charge: Charge | str | None = None
    last_payment_error: CardError | None = None
    next_action: _NextAction | None = None
    cancellation_reason: str | None = None


class Refund(_Made):
    """A refund of a payment."""

    object: Literal["refund"]
    status: str | None = Field(default=None, pattern=r"^[ -~]{1,64}$")
    payment_intent: str | None = None


class Payout(_Made):
    """A payout to a bank account or card."""

    object: Literal["payout"]
    status: str = Field(pattern=r"^[ -~]{1,64}$")
    failure_code: str | None = None
    failure_balance_transaction: str | None = None


class Transfer(_Made):
    """A transfer to a connected account."""

    object: Literal["transfer"]
    amount_reversed: int = Field(ge=0, lt=2**63)


class _Error(CardError):
    type: str
    payment_intent: Intent | None = None


class ErrorBody(Vendor):
    """Stripe's refusals and failures."""

    error: _Error


class Page(Vendor):
    """One page of a list or of a search; its objects are read one by one."""

    object: Literal["list", "search_result"]
    data: list[dict[str, Any]]
    has_more: bool


_Shape = TypeVar("_Shape", bound=Vendor)


def parsed(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read a body in this shape. Raises `OutcomeUnknown` when it has another one."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise OutcomeUnknown("the provider's answer has another shape than it documents") from error


def shaped(raw: dict[str, Any], shape: type[_Shape]) -> _Shape:
    """Read an object out of a page in this shape. Raises `OutcomeUnknown` for another one."""
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        raise OutcomeUnknown("the provider's object has another shape than it documents") from error


def json_object(answer: ProviderAnswer) -> dict[str, Any]:
    """The body as a JSON object. Raises `OutcomeUnknown` for anything else."""
    try:
        read = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise OutcomeUnknown("the provider's answer is not JSON") from error
    if not isinstance(read, dict):
        raise OutcomeUnknown("the provider's answer is no object")
    return read
