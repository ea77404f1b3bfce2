"""Signs deliveries as Standard Webhooks says (version 1 of the scheme, symmetric)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret is told from others
_SECRET_BYTES = 32
CONTENT_TYPE = "application/json"
USER_AGENT = "Recompense-Webhooks/1"


def new_secret() -> str:
    """A secret that nobody knows: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def headers_for(
    keys: Sequence[str], *, event_id: str, sent_at_seconds: int, body: bytes
) -> dict[str, str]:
    """The headers of one try. Each key signs, so that a receiver may check with any of them.

    `sent_at_seconds` is the time of this try since the epoch; the id is the same for all tries.
    """
    signed = f"{event_id}.{sent_at_seconds}.".encode() + body
    return {
        "content-type": CONTENT_TYPE,
        "user-agent": USER_AGENT,
        "webhook-id": event_id,
        "webhook-timestamp": str(sent_at_seconds),
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(SECRET_PREFIX), validate=True)
    return "v1," + base64.b64encode(hmac.digest(raw, signed, hashlib.sha256)).decode()
