"""Stripe's webhooks: signature, age and shape, whatever bytes arrive.

Source: Stripe, "Verify webhook signatures manually".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from adapters.stripe.asked import EFFECT_KEY, OPERATION_ID
from adapters.stripe.shapes import Vendor
from recompense.contracts.provider import ProviderEvent, WebhookRefused

SIGNATURE_HEADER = "stripe-signature"
_MAXIMUM_BODY_BYTES = 256 * 1024
_MAXIMUM_HEADER_LENGTH = 4096
_TIMESTAMP = re.compile(r"t=([0-9]{1,12})", re.ASCII)
_SIGNATURE = re.compile(r"v1=([0-9a-f]{64})", re.ASCII)
_OURS = re.compile(r"[!-~]{1,64}", re.ASCII)


class _About(Vendor):
    """The object that an event speaks of; of any kind, and not always one with an id."""

    id: str | None = Field(default=None, pattern=r"^[!-~]{1,255}$")
    object: str | None = Field(default=None, pattern=r"^[ -~]{1,64}$")
    status: str | None = Field(default=None, pattern=r"^[ -~]{1,64}$")
    amount: int | None = Field(default=None, gt=-(2**63), lt=2**63)
    currency: str | None = Field(default=None, pattern=r"^[a-z]{3}$")


class _Metadata(Vendor):
    metadata: dict[str, str] = Field(default_factory=dict)


class _Data(Vendor):
    object: dict[str, object]


class _Event(Vendor):
    id: str = Field(pattern=r"^[!-~]{1,64}$")
    type: str = Field(pattern=r"^[!-~]{1,64}$")
    created: int = Field(gt=0, lt=2**36)
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

    The signature is HMAC-SHA256 over `<unix time>.<body>`; any live secret will do, and a signature
    is neither too old nor from the future. Nothing of the body is read before it holds.
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
    about, ours = _about(event.data.object), _ours(event.data.object)
    return ProviderEvent(
        provider="stripe",
        event_id=event.id,
        event_type=event.type,
        object_reference=about.id,
        operation_id=ours.get(OPERATION_ID),
        effect_key=ours.get(EFFECT_KEY),
        occurred_at=datetime.fromtimestamp(event.created, UTC),
        payload={"object": about.model_dump(mode="json", exclude_none=True)},
    )


def _about(raw: Mapping[str, object]) -> _About:
    """The object. One that is none of ours may look otherwise, and its event is kept as well."""
    try:
        return _About.model_validate(raw)
    except ValidationError:
        return _About()


def _ours(about: Mapping[str, object]) -> dict[str, str]:
    """Our words in an object's metadata; others' objects have none, or other things there."""
    try:
        metadata = _Metadata.model_validate(about).metadata
    except ValidationError:
        return {}
    return {name: text for name, text in metadata.items() if _OURS.fullmatch(text)}
