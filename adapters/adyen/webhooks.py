"""Adyen's notifications: signature and shape, whatever bytes arrive.

Two kinds come to one address. Standard notifications hold several items, each signed over eight of
its fields; a transfer's is signed as a whole, in a header. Neither carries a signed time, so there
is no age to check: a repeated one is the same event, by an id that is made of signed fields alone.

Source: Adyen's page "Verify HMAC signatures".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import Field, ValidationError

from adapters.adyen.references import effect_key_in, operation_of
from adapters.adyen.shapes import Psp, TransferAnswer, Vendor, VendorAmount
from adapters.adyen.told import Told
from recompense.contracts.provider import ProviderEvent, WebhookRefused

TRANSFER_SIGNATURE_HEADER = "hmacsignature"
_MAXIMUM_BODY_BYTES = 256 * 1024
_MAXIMUM_ITEMS = 100
_SIGNATURE_LENGTH = 44
_TRANSFER_EVENTS = frozenset(
    {"balancePlatform.transfer.created", "balancePlatform.transfer.updated"}
)


class _AdditionalData(Vendor):
    hmacSignature: str | None = None


class _Item(Vendor):
    """The eight signed fields, and when it is said to have happened."""

    pspReference: Psp
    originalReference: Psp | None = None
    merchantAccountCode: str = Field(max_length=256)
    merchantReference: str | None = Field(default=None, max_length=256)
    amount: VendorAmount | None = None
    eventCode: str = Field(pattern=r"^[A-Z_]{1,64}$")
    success: str = Field(pattern=r"^(true|false)$")
    eventDate: datetime | None = Field(default=None, strict=False)
    additionalData: _AdditionalData = _AdditionalData()

    def signed_fields(self) -> list[str]:
        """In the order in which they are signed; what is absent is empty."""
        amount = self.amount
        return [
            self.pspReference,
            self.originalReference or "",
            self.merchantAccountCode,
            self.merchantReference or "",
            "" if amount is None else str(amount.value),
            "" if amount is None else amount.currency,
            self.eventCode,
            self.success,
        ]


class _Wrapped(Vendor):
    NotificationRequestItem: _Item


class _Delivery(Vendor):
    notificationItems: list[_Wrapped] = Field(min_length=1, max_length=_MAXIMUM_ITEMS)


class _TransferDelivery(Vendor):
    type: str = Field(pattern=r"^[A-Za-z._]{1,100}$")
    data: TransferAnswer


class _OtherDelivery(Vendor):
    """A signed delivery about nothing of ours: kept, and applied to nothing."""

    type: str = Field(pattern=r"^[A-Za-z._]{1,100}$")


_Shape = TypeVar("_Shape", bound=Vendor)


def verified_events(
    headers: Mapping[str, str],
    body: bytes,
    *,
    merchant_account: str,
    keys: Sequence[bytes],
    transfer_keys: Sequence[bytes],
) -> tuple[ProviderEvent, ...]:
    """Check a delivery and tell what each of its items says. Raises `WebhookRefused` and nothing
    else: one item that does not verify refuses them all.
    """
    if len(body) > _MAXIMUM_BODY_BYTES:
        raise WebhookRefused("webhook_too_large", "The body is larger than any delivery.")
    signature = next(
        (value for name, value in headers.items() if name.lower() == TRANSFER_SIGNATURE_HEADER),
        None,
    )
    if signature is not None:
        _check_signature(signature, [body], transfer_keys)
        return (_transfer_event(body),)
    items = [
        wrapped.NotificationRequestItem for wrapped in _read(body, _Delivery).notificationItems
    ]
    for item in items:
        if item.additionalData.hmacSignature is None:
            raise WebhookRefused("webhook_signature_missing", "There is no signature.")
        _check_signature(item.additionalData.hmacSignature, _signed_texts(item), keys)
    return tuple(_payment_event(item, merchant_account) for item in items)


def _signed_texts(item: _Item) -> list[bytes]:
    """Adyen's libraries join the fields as they are, its older ones escaped them first. The two
    differ only where a field holds a colon or a backslash; none of ours does, and no field that
    could be read as ours may.
    """
    fields = item.signed_fields()
    escaped = [field.replace("\\", "\\\\").replace(":", "\\:") for field in fields]
    return [":".join(fields).encode(), ":".join(escaped).encode()]


def _check_signature(signature: str, texts: Sequence[bytes], keys: Sequence[bytes]) -> None:
    holds = False
    if len(signature) == _SIGNATURE_LENGTH and signature.isascii():
        for key in keys:
            for text in texts:
                expected = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest())
                holds |= hmac.compare_digest(expected, signature.encode())
    if not holds:
        raise WebhookRefused("webhook_signature_invalid", "The signature does not hold.")


def key_bytes(hexadecimal: str) -> bytes:
    """An HMAC key from the text that Adyen shows."""
    return binascii.unhexlify(hexadecimal)


def _payment_event(item: _Item, merchant_account: str) -> ProviderEvent:
    ours = item.merchantAccountCode == merchant_account
    effect_key = effect_key_in(item.merchantReference) if ours else None
    told = Told(
        source="payment",
        word=item.eventCode,
        success=item.success == "true",
        object=item.pspReference,
        original=item.originalReference,
        amount=item.amount,
    )
    # Another account's item may have the same references: its id must not stand in the way.
    account = "" if ours else f"{_digest(item.merchantAccountCode.encode())}."
    return ProviderEvent(
        provider="adyen",
        event_id=f"{account}{item.eventCode}.{item.pspReference}.{item.success}",
        event_type=item.eventCode,
        object_reference=item.pspReference,
        operation_id=None if effect_key is None else operation_of(effect_key),
        effect_key=effect_key,
        occurred_at=item.eventDate,
        payload=told.model_dump(mode="json"),
    )


def _transfer_event(body: bytes) -> ProviderEvent:
    kind = _read(body, _OtherDelivery).type
    if kind not in _TRANSFER_EVENTS:
        return _event_of_nothing(kind, body)
    try:
        transfer = _TransferDelivery.model_validate_json(body).data
    except ValidationError:
        # Fees, card payments and incoming money are transfers too, of other shapes.
        return _event_of_nothing(kind, body)
    effect_key = effect_key_in(transfer.reference)
    told = Told(
        source="transfer",
        word=transfer.status,
        object=transfer.id,
        amount=transfer.amount,
        reason=transfer.reason,
    )
    return ProviderEvent(
        provider="adyen",
        event_id=f"transfer.{transfer.id}.{transfer.status}",
        event_type=f"transfer.{transfer.status}",
        object_reference=transfer.id,
        operation_id=None if effect_key is None else operation_of(effect_key),
        effect_key=effect_key,
        occurred_at=None,
        payload=told.model_dump(mode="json"),
    )


def _event_of_nothing(kind: str, body: bytes) -> ProviderEvent:
    return ProviderEvent(
        provider="adyen",
        event_id=f"other.{_digest(body)}",
        event_type=kind,
        object_reference=None,
        operation_id=None,
        effect_key=None,
        occurred_at=None,
        payload={},
    )


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:32]


def _read(body: bytes, shape: type[_Shape]) -> _Shape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise WebhookRefused("webhook_malformed", "The body is not a notification.") from error
