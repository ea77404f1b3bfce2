"""Money is an integer count of minor units and an ISO 4217 currency, and nothing else."""

from __future__ import annotations

from typing import Annotated

from iso4217 import Currency as IsoCurrency
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt

MAX_AMOUNT = 999_999_999_999
"""The largest amount of one operation, in minor units: sums of a million of them still fit
PostgreSQL's bigint.
"""

_EXPONENTS: dict[str, int] = {
    currency.code: currency.exponent for currency in IsoCurrency if currency.exponent is not None
}


def known_currency(code: str) -> str:
    """Return `code` when ISO 4217 lists it as money with a minor unit; raise `ValueError`
    otherwise.
    """
    if code not in _EXPONENTS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code in upper case")
    return code


def exponent(currency: str) -> int:
    """How many decimals the currency has: 2 for EUR, 0 for JPY, 3 for BHD (ISO 4217, table A.1)."""
    return _EXPONENTS[known_currency(currency)]


def formatted(amount: int, currency: str) -> str:
    """Render minor units for people (`12.34 EUR`), by integer arithmetic alone."""
    decimals = exponent(currency)
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(decimals + 1, "0")
    if decimals == 0:
        return f"{sign}{digits} {currency}"
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]} {currency}"


Currency = Annotated[str, Field(min_length=3, max_length=3), AfterValidator(known_currency)]
Amount = Annotated[StrictInt, Field(gt=0, le=MAX_AMOUNT)]


class Money(BaseModel):
    """A positive amount of one currency."""

    model_config = ConfigDict(frozen=True)

    amount: Amount
    currency: Currency

    def __str__(self) -> str:
        return formatted(self.amount, self.currency)
