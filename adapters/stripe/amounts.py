"""Amounts in Stripe's units. They are ISO 4217's minor units, but for a few currencies.

Source: Stripe, "Supported currencies", sections on zero-decimal and three-decimal currencies and
on special cases.
"""

from __future__ import annotations

from recompense.domain.money import exponent

CURRENCIES = frozenset(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD "
    "CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ "
    "GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR "
    "LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB "
    "PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STN SZL THB "
    "TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR "
    "ZMW".split()
)

_OTHER_DECIMALS = {"MGA": 0, "ISK": 2, "UGX": 2}
"""Where Stripe counts in other units than ISO 4217 (MGA 2, ISK 0, UGX 0)."""

_STEPS = {"ISK": 100, "UGX": 100, "BHD": 10, "JOD": 10, "KWD": 10, "OMR": 10, "TND": 10}
"""What an amount in Stripe's units has to be a multiple of."""

_PAYOUT_STEPS = {"HUF": 100, "TWD": 100}


class NotExpressible(ValueError):
    """Stripe has no such amount of this currency: sending it would mean rounding it."""


def to_stripe(amount: int, currency: str, *, payout: bool = False) -> int:
    """Our minor units in Stripe's. Raises `NotExpressible` instead of rounding.

    `payout`: Stripe pays out some currencies in whole units only.
    """
    if currency not in CURRENCIES:
        raise NotExpressible(f"Stripe does not take {currency}")
    units = _shifted(amount, currency, _decimals(currency) - exponent(currency))
    step = _PAYOUT_STEPS.get(currency, 1) if payout else 1
    step = max(step, _STEPS.get(currency, 1))
    if units % step:
        raise NotExpressible(f"Stripe takes {currency} in multiples of {step} of its units only")
    return units


def from_stripe(units: int, currency: str) -> int:
    """Stripe's units in our minor units. Raises `NotExpressible` instead of rounding, and
    `ValueError` for what is no currency.
    """
    return _shifted(units, currency, exponent(currency) - _decimals(currency))


def _decimals(currency: str) -> int:
    return _OTHER_DECIMALS.get(currency, exponent(currency))


def _shifted(amount: int, currency: str, decimals: int) -> int:
    factor: int = 10 ** abs(decimals)
    if decimals >= 0:
        return amount * factor
    whole, rest = divmod(amount, factor)
    if rest:
        raise NotExpressible(f"{amount} of {currency} falls between two units")
    return whole
