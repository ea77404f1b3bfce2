"""Signatures of the form `t=<unix time>,v1=<hex>`, which several vendors put on their webhooks.

HMAC-SHA256 over `<unix time>.<body>`. Source: Stripe, "Verify webhook signatures manually".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from recompense.contracts.provider import WebhookRefused

_MAXIMUM_HEADER_LENGTH = 4096
_TIMESTAMP = re.compile(r"t=([0-9]{1,12})", re.ASCII)
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class TimedSignatures:
    """How one vendor signs. `header` is in small letters; any live secret will do."""

    header: str
    secrets: Sequence[bytes]
    tolerance_seconds: float
    maximum_body_bytes: int

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raises `WebhookRefused` unless a signature holds that is neither too old nor from the
        future. Nothing of the body is read.
        """
        if len(body) > self.maximum_body_bytes:
            raise WebhookRefused("webhook_too_large", "The body is larger than any event.")
        timestamp, signatures = self._parts(headers)
        self._check_signature(timestamp, signatures, body)
        if abs(now.timestamp() - int(timestamp)) > self.tolerance_seconds:
            raise WebhookRefused("webhook_stale", "The signature is too old, or from the future.")

    def _parts(self, headers: Mapping[str, str]) -> tuple[str, list[str]]:
        header = next((text for name, text in headers.items() if name.lower() == self.header), None)
        if header is None:
            raise WebhookRefused("webhook_signature_missing", "There is no signature.")
        parts = header[:_MAXIMUM_HEADER_LENGTH].split(",")
        timestamps = [match[1] for part in parts if (match := _TIMESTAMP.fullmatch(part))]
        signatures = [match[1] for part in parts if (match := _SIGNATURE.fullmatch(part))]
        if len(timestamps) != 1 or not signatures:
            raise WebhookRefused("webhook_signature_invalid", "The signature header is malformed.")
        return timestamps[0], signatures

    def _check_signature(self, timestamp: str, signatures: Sequence[str], body: bytes) -> None:
        signed = f"{timestamp}.".encode() + body
        holds = False
        for secret in self.secrets:
            expected = hmac.new(secret, signed, hashlib.sha256).hexdigest()
            for signature in signatures:
                holds |= hmac.compare_digest(expected, signature)
        if not holds:
            raise WebhookRefused("webhook_signature_invalid", "The signature does not hold.")
