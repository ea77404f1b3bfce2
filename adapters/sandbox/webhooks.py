"""The sandbox's webhooks: signature, age and shape, whatever bytes arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from adapters.sandbox.shapes import Vendor, VendorObject
from adapters.timed_signatures import TimedSignatures
from recompense.contracts.provider import ProviderEvent, WebhookRefused

SIGNATURE_HEADER = "sandbox-signature"
_MAXIMUM_BODY_BYTES = 64 * 1024


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
    """Check a delivery and tell what it says. Raises `WebhookRefused` and nothing else."""
    signatures = TimedSignatures(SIGNATURE_HEADER, secrets, tolerance_seconds, _MAXIMUM_BODY_BYTES)
    signatures.check(headers, body, now)
    return _event(body)


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
