"""Notifications as Adyen writes and signs them, written from its documentation and not with the
adapter's code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HMAC_KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
TRANSFER_HMAC_KEY = "0B2C5D9A4E8F7061524334251607F8E9DACBBCAD9E8F70615243342516071829"
ACCOUNT = "TestMerchant"


@dataclass(frozen=True)
class Sent:
    """A delivery: what goes over the wire."""

    headers: dict[str, str]
    body: bytes


def signature(text: bytes, key: str) -> str:
    """Base64 of HMAC-SHA256 under a hexadecimal key."""
    return base64.b64encode(hmac.new(bytes.fromhex(key), text, hashlib.sha256).digest()).decode()


def item(
    code: str,
    psp: str,
    reference: str,
    amount: tuple[int, str] = (1_000, "EUR"),
    *,
    success: bool = True,
    original: str | None = None,
    key: str = HMAC_KEY,
    **changes: Any,
) -> dict[str, Any]:
    """One signed item. `changes` are made before it is signed."""
    made: dict[str, Any] = {
        "additionalData": {},
        "amount": {"value": amount[0], "currency": amount[1]},
        "eventCode": code,
        "eventDate": datetime.now(UTC).isoformat(timespec="seconds"),
        "merchantAccountCode": ACCOUNT,
        "merchantReference": reference,
        "pspReference": psp,
        "success": "true" if success else "false",
        **changes,
    }
    if original is not None:
        made["originalReference"] = original
    return signed(made, key)


def signed(made: dict[str, Any], key: str = HMAC_KEY) -> dict[str, Any]:
    """The item with its signature."""
    amount = made.get("amount", {})
    fields = [
        made["pspReference"],
        made.get("originalReference", ""),
        made["merchantAccountCode"],
        made.get("merchantReference", ""),
        str(amount.get("value", "")),
        amount.get("currency", ""),
        made["eventCode"],
        made["success"],
    ]
    mark = signature(":".join(fields).encode(), key)
    return {**made, "additionalData": {**made["additionalData"], "hmacSignature": mark}}


def standard(*items: dict[str, Any]) -> Sent:
    """A delivery of standard notifications."""
    body = {
        "live": "false",
        "notificationItems": [{"NotificationRequestItem": one} for one in items],
    }
    return Sent({"content-type": "application/json"}, json.dumps(body).encode())


def transfer(
    transfer_id: str,
    reference: str,
    status: str,
    amount: tuple[int, str] = (1_000, "EUR"),
    *,
    key: str = TRANSFER_HMAC_KEY,
    reason: str = "approved",
    body: bytes | None = None,
) -> Sent:
    """A delivery about a transfer."""
    told = {
        "environment": "test",
        "type": f"balancePlatform.transfer.{'created' if status == 'received' else 'updated'}",
        "data": {
            "id": transfer_id,
            "amount": {"value": amount[0], "currency": amount[1]},
            "category": "bank",
            "creationDate": datetime.now(UTC).isoformat(timespec="seconds"),
            "direction": "outgoing",
            "reason": reason,
            "reference": reference,
            "status": status,
            "type": "bankTransfer",
        },
    }
    sent = json.dumps(told).encode() if body is None else body
    headers = {
        "content-type": "application/json",
        "hmacsignature": signature(sent, key),
        "protocol": "HmacSHA256",
    }
    return Sent(headers, sent)
