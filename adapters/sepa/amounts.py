"""Amounts of ISO 20022 messages: decimal text to minor units and back, by digits alone."""

from __future__ import annotations

import re

from recompense.contracts.batches import BankFileRefused
from recompense.domain.money import exponent

_DECIMAL = re.compile(r"\+?([0-9]*)(?:\.([0-9]*))?", re.ASCII)
_MOST_DIGITS = 18
"""ISO 20022, ActiveOrHistoricCurrencyAndAmount: 18 digits in all, 5 of them decimals."""
_MOST_DECIMALS = 5


def minor_units(text: str, currency: str) -> int:
    """Read an amount exactly. `12.34000` EUR is 1234; a fraction of a cent is refused, not rounded.

    Raises `BankFileRefused`.
    """
    decimals = _exponent(currency)
    found = _DECIMAL.fullmatch(text.strip(" \t\r\n"))
    whole, fraction = (found[1], found[2] or "") if found else ("", "")
    if not whole and not fraction:
        raise BankFileRefused("file_amount", "An amount is not a decimal number.")
    if len(whole) + len(fraction) > _MOST_DIGITS or len(fraction) > _MOST_DECIMALS:
        raise BankFileRefused("file_amount", "An amount has more digits than any amount.")
    kept = fraction.rstrip("0")
    if len(kept) > decimals:
        raise BankFileRefused(
            "file_amount", f"An amount has more decimals than {currency} has minor units."
        )
    return int((whole or "0") + kept.ljust(decimals, "0"))


def decimal_text(amount: int, currency: str) -> str:
    """Write minor units as a decimal: 1234 EUR is `12.34`."""
    decimals = exponent(currency)
    digits = str(amount).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def _exponent(currency: str) -> int:
    try:
        return exponent(currency)
    except ValueError:
        raise BankFileRefused("file_amount", "An amount is in no ISO 4217 currency.") from None
