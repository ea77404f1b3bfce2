"""The sandbox's webhooks: signature, age and shape, whatever bytes arrive."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from adapters.sandbox.shapes import Vendor, VendorObject
from recompense.contracts.provider import ProviderEvent, WebhookRefused

SIGNATURE_HEADER = "sandbox-signature"
_MAXIMUM_BODY_BYTES = 64 * 1024
_MAXIMUM_HEADER_LENGTH = 1024
_TIMESTAMP = re.compile(r"t=([0-9]{1,12})", re.ASCII)
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})", re.ASCII)


class _StrangeObject(Vendor):
    """An object of a kind that we never make: the event is kept, and speaks of nothing of ours."""

    id: str | None = Field(default=None, pattern=r"^[!-~]{1,64}$")


class _Data(Vendor):
    object: VendorObject | _StrangeObject


class _Event(Vendor):
    id: str = Field(pattern=r"^[!-~]{1,64}$")
    type: str = Field(pattern=r"^[!-~]{1,64}$")
    created_at: float = Field(gt=0, lt=2**32)
    data: _Data


def verified_event(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[bytes],
    tolerance_seconds: float,
    now: datetime,
) -> ProviderEvent:
    """Check a delivery and tell what it says. Raises `WebhookRefused` and nothing else.

    The signature is HMAC-SHA256 over `<unix time>.<body>`; any live secret will do. Nothing of the
    body is read before it holds.
    """
    if len(body) > _MAXIMUM_BODY_BYTES:
        raise WebhookRefused("webhook_too_large", "The body is larger than any event.")
    timestamp, signatures = _signature_parts(headers)
    _check_signature(timestamp, signatures, body, secrets)
    if abs(now.timestamp() - int(timestamp)) > tolerance_seconds:
        raise WebhookRefused("webhook_stale", "The signature is too old, or from the future.")
    return _event(body)


def _signature_parts(headers: Mapping[str, str]) -> tuple[str, list[str]]:
    header = next(
        (value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER), None
    )
    if header is None:
        raise WebhookRefused("webhook_signature_missing", "There is no signature.")
    parts = header[:_MAXIMUM_HEADER_LENGTH].split(",")
    timestamps = [match[1] for part in parts if (match := _TIMESTAMP.fullmatch(part))]
    signatures = [match[1] for part in parts if (match := _SIGNATURE.fullmatch(part))]
    if len(timestamps) != 1 or not signatures:
        raise WebhookRefused("webhook_signature_invalid", "The signature header is malformed.")
    return timestamps[0], signatures


def _check_signature(
    timestamp: str, signatures: Sequence[str], body: bytes, secrets: Sequence[bytes]
) -> None:
    signed = f"{timestamp}.".encode() + body
    holds = False
    for secret in secrets:
        expected = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        for signature in signatures:
            holds |= hmac.compare_digest(expected, signature)
    if not holds:
        raise WebhookRefused("webhook_signature_invalid", "The signature does not hold.")


def _event(body: bytes) -> ProviderEvent:
    try:
        event = _Event.model_validate_json(body)
    except ValidationError as error:
        raise WebhookRefused("webhook_malformed", "The signed body is not an event.") from error
    about = event.data.object
    named = about if isinstance(about, VendorObject) else None
    return ProviderEvent(
        provider="sandbox",
        event_id=event.id,
        event_type=event.type,
        object_reference=about.id,
        operation_id=named.reference if named else None,
        effect_key=named.idempotency_key if named else None,
        occurred_at=datetime.fromtimestamp(event.created_at, UTC),
        payload={"object": about.model_dump(mode="json", exclude_none=True)},
    )
