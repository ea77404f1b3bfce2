"""What was agreed with a merchant: fees, availability and payout terms, as data, and the arithmetic
on them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from recompense.domain.money import MAX_AMOUNT, Currency

AmountOrZero = Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT)]
AmountByCurrency = AmountOrZero | dict[Currency, AmountOrZero]
"""One number of minor units for every currency, or one for each."""

ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class Terms(BaseModel):
    """A part of a merchant's terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeeSchedule(Terms):
    """What the platform charges for a capture: a share in basis points, half a minor unit rounded
    up, and a fixed part.
    """

    basis_points: Annotated[StrictInt, Field(ge=0, le=10_000)] = 0
    fixed: AmountByCurrency = 0

    def fee(self, amount: int, currency: str) -> int:
        """The fee of one capture in minor units: never more than what was captured."""
        share = (amount * self.basis_points + 5_000) // 10_000
        return min(amount, share + _for_currency(self.fixed, currency))


class PayoutTerms(Terms):
    """How a merchant is paid out.

    `approval_above` None: no payout of this merchant is asked about.
    """

    schedule: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "manual"
    weekday: (
        Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None
    ) = None
    day_of_month: Annotated[StrictInt, Field(ge=1, le=31)] | Literal["last"] | None = None
    cut_off: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    time_zone: str | None = None
    minimum: AmountByCurrency = 0
    destination: dict[str, Any] | None = None
    approval_above: AmountByCurrency | None = None

    def needs_approval(self, amount: int, currency: str) -> bool:
        """Whether a payout of this amount has to be approved. A currency without a threshold needs
        none.
        """
        if self.approval_above is None:
            return False
        if isinstance(self.approval_above, dict):
            return currency in self.approval_above and amount > self.approval_above[currency]
        return amount > self.approval_above


class RoutingTerms(Terms):
    """Which providers make a merchant's payments and payouts, and in which order they are asked.

    `prefer` names them in order; `weights` shares the first choice among further ones. A provider
    that is not named here takes nothing over from another: tokens belong to the provider that made
    them, and who names two says that both understand the same ones.
    """

    prefer: Annotated[tuple[ProviderName, ...], Field(max_length=8)] = ()
    weights: Annotated[
        dict[ProviderName, Annotated[StrictInt, Field(ge=1, le=1_000_000)]], Field(max_length=8)
    ] = {}

    @model_validator(mode="after")
    def _each_is_preferred_once(self) -> Self:
        if len({*self.prefer}) != len(self.prefer):
            raise ValueError("prefer names a provider twice")
        return self


class Availability(Terms):
    """When captured money becomes available to the merchant."""

    rule: Literal["on_settlement", "on_capture", "after_days"] = "on_settlement"
    days: Annotated[StrictInt, Field(ge=0, le=365)] = 0

    def due_at(self, captured_at: datetime) -> datetime | None:
        """When the money of a capture becomes available; None: when the provider's settlement says
        so.
        """
        if self.rule == "on_settlement":
            return None
        return captured_at if self.rule == "on_capture" else captured_at + timedelta(days=self.days)


def _for_currency(amounts: int | dict[str, int], currency: str) -> int:
    return amounts.get(currency, 0) if isinstance(amounts, dict) else amounts
