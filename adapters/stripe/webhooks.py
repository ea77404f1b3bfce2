"""Stripe's webhooks: signature, age and shape, whatever bytes arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pydantic import Field, ValidationError

from adapters.stripe.asked import EFFECT_KEY, OPERATION_ID
from adapters.stripe.shapes import Vendor
from adapters.timed_signatures import TimedSignatures
from recompense.contracts.provider import ProviderEvent, WebhookRefused

SIGNATURE_HEADER = "stripe-signature"
_MAXIMUM_BODY_BYTES = 256 * 1024
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
    """Check a delivery and tell what it says. Raises `WebhookRefused` and nothing else."""
    signatures = TimedSignatures(SIGNATURE_HEADER, secrets, tolerance_seconds, _MAXIMUM_BODY_BYTES)
    signatures.check(headers, body, now)
    return _event(body)


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
