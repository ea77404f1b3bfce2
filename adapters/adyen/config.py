"""How to reach one Adyen account."""

from __future__ import annotations

import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr

from recompense.contracts.provider import ProviderConfig


def _hexadecimal(key: SecretStr) -> SecretStr:
    try:
        decoded = binascii.unhexlify(key.get_secret_value())
    except (binascii.Error, ValueError):
        raise ValueError("an HMAC key is the hexadecimal text that Adyen shows once") from None
    if len(decoded) < 16:
        raise ValueError("an HMAC key has 16 bytes at least")
    return key


HmacKey = Annotated[SecretStr, AfterValidator(_hexadecimal)]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]


class AdyenConfig(ProviderConfig):
    """Addresses, accounts and secrets. Two HMAC keys of a kind are live at once while one is
    rotated.

    `base_url` ends with Checkout's version (`.../v71`), `transfers_url` with that of the Transfers
    API (`.../btl/v4`). Without a balance account there are no payouts; without a report user no
    reports.
    """

    base_url: AnyHttpUrl
    api_key: SecretStr
    merchant_account: AccountName
    return_url: AnyHttpUrl
    shopper_interaction: Literal["ContAuth", "Ecommerce"] = "ContAuth"
    hmac_keys: tuple[HmacKey, ...] = Field(min_length=1)
    transfers_url: AnyHttpUrl | None = None
    transfers_api_key: SecretStr | None = None
    balance_account: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")] | None = None
    transfer_priority: str = Field(default="regular", pattern=r"^[a-zA-Z]{1,32}$")
    transfer_hmac_keys: tuple[HmacKey, ...] = ()
    report_url: str | None = Field(
        default=None,
        pattern=r"^https?://[!-~]+\{date\}[!-~]*$",
        description="where the report of a date lies; `{date}` becomes 2026_11_28",
    )
    report_user: str | None = None
    report_password: SecretStr | None = None
