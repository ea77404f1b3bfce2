"""What was agreed with a merchant: fees, availability, reserve and payout terms, as data, and the
arithmetic on them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from recompense.domain.calendar import BusinessCalendar, date_in, moment_of
from recompense.domain.money import MAX_AMOUNT, Currency

ALL_BASIS_POINTS = 10_000
BasisPoints = Annotated[StrictInt, Field(ge=0, le=ALL_BASIS_POINTS)]

AmountOrZero = Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT)]
AmountByCurrency = AmountOrZero | dict[Currency, AmountOrZero]
"""One number of minor units for every currency, or one for each."""

ProviderName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]


class Terms(BaseModel):
    """A part of a merchant's terms."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _is(default: object) -> Callable[[object], bool]:
    """Leaves a term out where it says nothing: who has agreed on nothing more is shown no more."""
    return lambda value: value == default


class FeeRule(Terms):
    """What the platform charges for a capture: a share in basis points, half a minor unit rounded
    up, and a fixed part; together `minimum` at least and `maximum` at most.

    A currency that an amount does not name has nothing fixed, no minimum and no maximum.
    """

    basis_points: BasisPoints = 0
    fixed: AmountByCurrency = 0
    minimum: AmountByCurrency = Field(default=0, exclude_if=_is(0))
    maximum: AmountByCurrency | None = Field(default=None, exclude_if=_is(None))

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        named = {*_named(self.minimum), *_named(self.maximum), _UNNAMED}
        for currency in named:
            most = _most(self.maximum, currency)
            if most is not None and _for_currency(self.minimum, currency) > most:
                raise ValueError("a minimum fee is above its maximum")
        return self

    def charge(self, amount: int, currency: str) -> int:
        """The fee of one capture in minor units: never more than what was captured, whatever the
        minimum.
        """
        share = half_up(amount * self.basis_points, ALL_BASIS_POINTS)
        wanted = share + _for_currency(self.fixed, currency)
        wanted = max(wanted, _for_currency(self.minimum, currency))
        most = _most(self.maximum, currency)
        return min(amount, wanted if most is None else min(wanted, most))


class FeeException(FeeRule):
    """A rule for a payment method, a currency, or both: it stands in the place of the schedule's
    own rule, whole.
    """

    payment_method: Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")] | None = Field(
        default=None, exclude_if=_is(None)
    )
    currency: Currency | None = Field(default=None, exclude_if=_is(None))

    @model_validator(mode="after")
    def _is_narrower(self) -> Self:
        if self.payment_method is None and self.currency is None:
            raise ValueError("an exception names a payment method, a currency, or both")
        return self

    def fits(self, currency: str, payment_method: str) -> bool:
        """Whether it speaks of such a payment."""
        return self.currency in {None, currency} and self.payment_method in {None, payment_method}


class FeeSchedule(FeeRule):
    """What the platform charges a merchant.

    The first of `exceptions` that fits a payment is its rule; without one it is the schedule's own.
    `on_refund` says whether a refund gives the fee back, in proportion. `payout_return` is what a
    payout costs that comes back.
    """

    exceptions: tuple[FeeException, ...] = Field(default=(), max_length=100, exclude_if=_is(()))
    on_refund: Literal["kept", "returned"] = Field(default="kept", exclude_if=_is("kept"))
    payout_return: AmountByCurrency = Field(default=0, exclude_if=_is(0))

    def fee(self, amount: int, currency: str, payment_method: str) -> int:
        """The fee of one capture in minor units: never more than what was captured."""
        fitting = (one for one in self.exceptions if one.fits(currency, payment_method))
        rule: FeeRule = next(fitting, self)
        return rule.charge(amount, currency)

    def due_back(self, *, fees: int, captured: int, refunded: int, returned: int) -> int:
        """How much of a payment's fees goes back now that `refunded` of `captured` is refunded in
        all, and `returned` went back before. Minor units.

        Counted over the whole payment and rounded half up, so that the parts of any split of
        refunds add up, and all is back when all is refunded.
        """
        if self.on_refund == "kept" or captured == 0:
            return 0
        return max(0, half_up(fees * refunded, captured) - returned)

    def return_fee(self, amount: int, currency: str) -> int:
        """What a payout that came back costs, in minor units: never more than what came back, so
        that the booking of a return can never be refused by the merchant's floor.
        """
        return min(amount, _for_currency(self.payout_return, currency))


class ReserveTerms(Terms):
    """A rolling reserve: this share of what becomes available is kept back for so many days.

    Half a minor unit is rounded up. The share is of what is left after fees and refunds.
    """

    basis_points: BasisPoints = 0
    days: Annotated[StrictInt, Field(ge=0, le=730)] = 0

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.basis_points > 0) != (self.days > 0):
            raise ValueError("a reserve has basis points and days")
        return self

    def kept(self, amount: int) -> int:
        """How many minor units are kept back of an amount that becomes available."""
        return half_up(amount * self.basis_points, ALL_BASIS_POINTS)

    def release_at(self, kept_at: datetime) -> datetime:
        """When they are given free."""
        return kept_at + timedelta(days=self.days)


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

    def minimum_of(self, currency: str) -> int:
        """The least that a payout run pays out, in minor units; less is carried forward."""
        return _for_currency(self.minimum, currency)

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
    """When captured money becomes available to the merchant.

    `days` after the capture to the minute; with `business_days` at the beginning of the n-th
    business day after the day of the capture.
    """

    rule: Literal["on_settlement", "on_capture", "after_days"] = "on_settlement"
    days: Annotated[StrictInt, Field(ge=0, le=365)] = 0
    business_days: bool = Field(default=False, exclude_if=_is(False))

    def due_at(
        self, captured_at: datetime, calendar: BusinessCalendar, time_zone: str
    ) -> datetime | None:
        """When the money of a capture becomes available; None: when the provider's settlement says
        so. Days begin and end in the time zone.
        """
        if self.rule == "on_settlement":
            return None
        if self.rule == "on_capture":
            return captured_at
        if not self.business_days:
            return captured_at + timedelta(days=self.days)
        due = calendar.plus(date_in(captured_at, time_zone), self.days)
        return moment_of(due, "00:00", time_zone)


def half_up(numerator: int, denominator: int) -> int:
    """Divide whole numbers that are not negative; half a minor unit and more is rounded up."""
    return (2 * numerator + denominator) // (2 * denominator)


_UNNAMED = ""
"""Stands for all currencies that no amount names."""


def _named(amounts: AmountByCurrency | None) -> Collection[str]:
    return amounts if isinstance(amounts, dict) else ()


def _for_currency(amounts: AmountByCurrency, currency: str) -> int:
    return amounts.get(currency, 0) if isinstance(amounts, dict) else amounts


def _most(amounts: AmountByCurrency | None, currency: str) -> int | None:
    return amounts.get(currency) if isinstance(amounts, dict) else amounts
