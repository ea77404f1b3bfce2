"""The chart of accounts: what an account's name says about it.

An account is open for every currency, and exists as soon as its name is used. The name alone tells
its kind, its normal side and whether it carries a floor.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

PLATFORM_FEES = "platform:fees"
PLATFORM_LOSSES = "platform:losses"

_OWNER = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Side(StrEnum):
    """One of the two sides of every transfer."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountKind(StrEnum):
    """What an account is to us."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"

    @property
    def normal_side(self) -> Side:
        """The side on which this kind's balance grows."""
        return Side.DEBIT if self in {AccountKind.ASSET, AccountKind.EXPENSE} else Side.CREDIT


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the chart. The database keeps a floored one at its floor or above."""

    name: str
    kind: AccountKind
    floored: bool = False

    @property
    def normal_side(self) -> Side:
        """The side on which the account's balance grows."""
        return self.kind.normal_side


_CHART = {
    "provider:*:clearing": AccountKind.ASSET,
    "merchant:*:pending": AccountKind.LIABILITY,
    "merchant:*:available": AccountKind.LIABILITY,
    "merchant:*:reserve": AccountKind.LIABILITY,
    "platform:fees": AccountKind.INCOME,
    "provider:*:fees": AccountKind.EXPENSE,
    "bank:*:cash": AccountKind.ASSET,
    "suspense:*": AccountKind.ASSET,
    "platform:losses": AccountKind.EXPENSE,
}
_FLOORED = "merchant:*:available"


@lru_cache(maxsize=4096)
def account(name: str) -> Account:
    """Read an account's name.

    Raises:
        ValueError: the chart has no such account.
    """
    parts = name.split(":")
    shape = name
    if parts[0] != "platform" and len(parts) > 1 and _OWNER.fullmatch(parts[1]):
        shape = ":".join([parts[0], "*", *parts[2:]])
    kind = _CHART.get(shape)
    if kind is None or "*" in name:
        raise ValueError(f"the chart has no account {name!r}")
    return Account(name, kind, floored=shape == _FLOORED)


def provider_clearing(provider: str) -> str:
    """What the provider owes us."""
    return account(f"provider:{provider}:clearing").name


def provider_fees(provider: str) -> str:
    """What the provider charges us."""
    return account(f"provider:{provider}:fees").name


def merchant_pending(merchant_id: str) -> str:
    """Captured for the merchant, not yet available."""
    return account(f"merchant:{merchant_id}:pending").name


def merchant_available(merchant_id: str) -> str:
    """What may be paid out to the merchant or refunded. Floored."""
    return account(f"merchant:{merchant_id}:available").name


def merchant_reserve(merchant_id: str) -> str:
    """Kept back from the merchant: disputes, rolling reserve."""
    return account(f"merchant:{merchant_id}:reserve").name


def bank_cash(bank: str) -> str:
    """Money in one of our bank accounts."""
    return account(f"bank:{bank}:cash").name


def suspense(provider: str) -> str:
    """Differences with a provider that are under investigation."""
    return account(f"suspense:{provider}").name
