"""Adyen's minor units, which differ from ISO 4217 for four currencies.

Source: Adyen's page "Currency codes and minor units".
"""

from __future__ import annotations

from recompense.domain.money import exponent

_EXPONENTS = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
"""Where Adyen counts otherwise than ISO 4217."""


class NotExpressible(ValueError):
    """The amount has decimals that the other side does not count."""


def to_adyen(amount: int, currency: str) -> int:
    """Our minor units in Adyen's. Raises `NotExpressible`; nothing is rounded."""
    return _shifted(amount, currency, _extra_decimals(currency))


def is_expressible(amount: int, currency: str) -> bool:
    """Whether Adyen can be told this amount exactly."""
    try:
        to_adyen(amount, currency)
    except NotExpressible:
        return False
    return True


def from_adyen(value: int, currency: str) -> int:
    """Adyen's minor units in ours. Raises `NotExpressible`; nothing is rounded.

    `ValueError` for a currency that ISO 4217 does not list.
    """
    return _shifted(value, currency, -_extra_decimals(currency))


def decimals(currency: str) -> int:
    """How many decimals Adyen's minor unit stands for."""
    return _EXPONENTS.get(currency, exponent(currency))


def _extra_decimals(currency: str) -> int:
    return decimals(currency) - exponent(currency)


def _shifted(amount: int, currency: str, by: int) -> int:
    if by >= 0:
        return int(amount * 10**by)
    whole, rest = divmod(amount, 10**-by)
    if rest:
        raise NotExpressible(f"{amount} minor units of {currency} cannot be expressed")
    return int(whole)
