"""The shapes of Adyen's answers, as far as they are believed."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recompense.domain.failures import OutcomeUnknown

Psp = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")]
"""An Adyen reference. Letters and digits alone: no text that a signature could be moved over."""
Word = Annotated[str, Field(pattern=r"^[ -~]{1,128}$")]


class Vendor(BaseModel):
    """Strict types, and room for fields that the vendor adds later."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class VendorAmount(Vendor):
    """An amount in Adyen's minor units."""

    value: int = Field(ge=0, lt=2**63)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Action(Vendor):
    """What the payer has to do. Only a page to be opened can be handed on."""

    type: Word
    url: str | None = Field(default=None, pattern=r"^https?://[!-~]{1,4000}$")
    method: str | None = None


class PaymentAnswer(Vendor):
    """The answer to `/payments`."""

    resultCode: str = Field(pattern=r"^[A-Za-z]{1,40}$")
    merchantReference: Word | None = None
    pspReference: Psp | None = None
    amount: VendorAmount | None = None
    refusalReasonCode: str | None = Field(default=None, pattern=r"^[0-9A-Za-z_]{1,20}$")
    action: Action | None = None


class ModificationAnswer(Vendor):
    """The answer to a capture, a cancel or a refund: taken, and nothing more."""

    status: Word
    merchantAccount: Word
    paymentPspReference: Psp | None = None
    paymentReference: Word | None = None
    pspReference: Psp
    reference: Word
    amount: VendorAmount | None = None


class TransferAnswer(Vendor):
    """A transfer, as its API answers and as its notifications tell it."""

    id: Psp
    reference: Word
    status: str = Field(pattern=r"^[A-Za-z]{1,64}$")
    amount: VendorAmount
    reason: str | None = Field(default=None, pattern=r"^[A-Za-z]{1,64}$")


class ErrorBody(Vendor):
    """Checkout's refusals and failures."""

    status: int
    errorCode: str = Field(pattern=r"^[0-9A-Za-z_.-]{1,40}$")
    errorType: Word


class ProblemBody(Vendor):
    """The Transfers API's refusals and failures."""

    status: int
    errorCode: str = Field(pattern=r"^[0-9A-Za-z_.-]{1,40}$")
    type: Word


_Shape = TypeVar("_Shape", bound=Vendor)


def parsed(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read a body in this shape. Raises `OutcomeUnknown` when it has another one."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise OutcomeUnknown("the provider's answer has another shape than it documents") from error
