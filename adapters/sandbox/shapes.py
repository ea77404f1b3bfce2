"""The shapes of the sandbox's answers, as far as they are believed."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recompense.domain.failures import OutcomeUnknown


class Vendor(BaseModel):
    """Strict types, and room for fields that the vendor adds later."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Decline(Vendor):
    code: str


class VendorObject(Vendor):
    """Any of the vendor's objects.

    Texts that we keep are visible ASCII, so that no store chokes on them.
    """

    id: str = Field(pattern=r"^[!-~]{1,64}$")
    object: str = Field(pattern=r"^[a-z_]{1,40}$")
    reference: str = Field(pattern=r"^[!-~]{1,64}$")
    idempotency_key: str = Field(pattern=r"^[!-~]{1,64}$")
    amount: int = Field(gt=0, lt=2**63)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    status: str = Field(pattern=r"^[ -~]{1,64}$")
    decline: _Decline | None = None
    expires_at: datetime | None = Field(default=None, strict=False)
    redirect_url: str | None = Field(default=None, pattern=r"^https?://[!-~]{1,1000}$")


class Listing(Vendor):
    """The answer to a look-up."""

    data: list[VendorObject]


class _Error(Vendor):
    code: str


class ErrorBody(Vendor):
    """The vendor's refusals and failures."""

    error: _Error


_Shape = TypeVar("_Shape", bound=Vendor)


def parsed(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read a body in this shape. Raises `OutcomeUnknown` when it has another one."""
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise OutcomeUnknown("the provider's answer has another shape than it documents") from error
