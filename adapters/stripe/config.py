"""How to reach one Stripe account, and what that account can do."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AnyHttpUrl, Field, SecretStr

from recompense.contracts.provider import ProviderConfig


class PayoutWay(StrEnum):
    """How a payout leaves: to a bank account, or to a connected account's balance."""

    PAYOUTS = "payouts"
    TRANSFERS = "transfers"


class StripeConfig(ProviderConfig):
    """Address, secrets, and what the account has. Two webhook secrets are live at once while one is
    rotated.

    `return_url`: where a payer comes back to after 3-D Secure; without it no payer can be sent to
    a bank. `multiple_capture`: the account has multicapture. `search_available`: false for
    accounts that Stripe offers no search (India). `payouts`: with `payouts` a destination is a
    bank account or card (`ba_`, `card_`), with `transfers` a connected account (`acct_`).
    """

    base_url: AnyHttpUrl = AnyHttpUrl("https://api.stripe.com")
    api_key: SecretStr
    webhook_secrets: tuple[SecretStr, ...] = Field(min_length=1)
    webhook_tolerance_seconds: float = Field(default=300, gt=0)
    return_url: AnyHttpUrl | None = None
    multiple_capture: bool = False
    search_available: bool = True
    payouts: PayoutWay = PayoutWay.PAYOUTS
