"""The request bodies that the sandbox takes. Unknown fields and loose types are refused."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from recompense.sandbox.faults import Fault
from recompense.sandbox.outbox import Mode
from recompense.sandbox.settlement import Corruption

Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
Amount = Annotated[int, Field(gt=0, lt=2**53)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Token = Annotated[str, StringConstraints(pattern=r"^tok_[!-~]{1,251}$")]


class Body(BaseModel):
    """Strict by house rule."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ReferenceBody(Body):
    """A void or the cancellation of a payout: all or nothing."""

    reference: Reference


class MoneyBody(ReferenceBody):
    """A reference of the caller's and an amount in minor units."""

    amount: Amount
    currency: Currency


class TokenBody(MoneyBody):
    """An authorization or a payout."""

    token: Token


class CaptureBody(MoneyBody):
    """A capture."""

    final: bool = False


class RefundBody(MoneyBody):
    """A refund of a capture or of an authorization's captures."""

    target: Reference


class ActionBody(Body):
    """How the payer's authentication ended."""

    result: Literal["succeed", "fail"]


class MatchBody(Body):
    """Which calls a fault is for."""

    reference: str | None = None


class FaultBody(Body):
    """A fault to arm."""

    model_config = ConfigDict(strict=False, extra="forbid", frozen=True)

    operation: Literal[
        "authorize", "capture", "void", "refund", "payout", "cancel_payout", "lookup", "report", "*"
    ]
    fault: Fault
    times: Annotated[int, Field(ge=-1, strict=True)] = 1
    match: MatchBody = MatchBody()
    delay_ms: Annotated[int, Field(ge=0, le=600_000, strict=True)] | None = None


class WebhookModeBody(Body):
    """How to send webhooks from now on."""

    model_config = ConfigDict(strict=False, extra="forbid", frozen=True)

    mode: Mode
    delay_ms: Annotated[int, Field(ge=0, le=600_000, strict=True)] | None = None


class SettleBody(Body):
    """Which report to write, and which break to plant in it."""

    model_config = ConfigDict(strict=False, extra="forbid", frozen=True)

    date: date
    corrupt: Corruption | None = None
