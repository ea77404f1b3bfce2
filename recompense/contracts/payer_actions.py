"""What a payer brought back from an action: an unproven word, kept like a provider's event.

It says nothing by itself. It is handed to the provider where the provider takes it, and the present
state is pulled where not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from recompense.contracts.provider import MoneyCall, ProviderEvent, ProviderOperation

PAYER_RETURNED = "payer.returned"
"""The type of these events. No provider has one of this name."""

_DIGEST_LENGTH = 32
_PARAMETERS = "parameters"


class CompleteCall(MoneyCall):
    """Hand the provider what the payer brought back, which may authorize `amount`.

    It is a part of the authorization, whose policy and `effect_key` it has; `idempotency_key` is
    its own. `parameters` are secrets: they are in no record of the call.
    """

    operation: Literal[ProviderOperation.AUTHORIZE] = ProviderOperation.AUTHORIZE
    idempotency_key: str
    parameters: Mapping[str, str] = Field(repr=False)


def payer_event_id(payment_id: str, parameters: Mapping[str, str]) -> str:
    """The id of what was brought back for a payment: the same for the same parameters."""
    content = json.dumps([payment_id, dict(parameters)], sort_keys=True)
    return f"payer.{hashlib.sha256(content.encode()).hexdigest()[:_DIGEST_LENGTH]}"


def payer_event(
    provider: str, payment_id: str, effect_key: str, parameters: Mapping[str, str]
) -> ProviderEvent:
    """What was brought back for the authorization `effect_key`, as it is stored."""
    return ProviderEvent(
        provider=provider,
        event_id=payer_event_id(payment_id, parameters),
        event_type=PAYER_RETURNED,
        object_reference=None,
        operation_id=payment_id,
        effect_key=effect_key,
        occurred_at=None,
        payload={_PARAMETERS: dict(parameters)},
    )


def parameters_in(payload: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The parameters of a stored event."""
    return payload[_PARAMETERS]
