"""The domain events as receivers see them: their types, and the body of a delivery."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from recompense.contracts.views import View

ENDPOINT_DISABLED = "webhook_endpoint.disabled"
TEST_EVENT = "webhook_endpoint.test"
"""Made by hand, for one endpoint: it is handed out to nobody else, and nobody subscribes to it."""

ALL_EVENTS = "*"

EVENT_TYPES = frozenset(
    {
        *(
            f"payment.{word}"
            for word in (
                "authorized",
                "captured",
                "partially_captured",
                "declined",
                "voided",
                "expired",
                "failed",
                "refunded",
                "partially_refunded",
                "requires_action",
            )
        ),
        *(f"capture.{word}" for word in ("succeeded", "failed")),
        *(f"refund.{word}" for word in ("succeeded", "failed")),
        *(
            f"payout.{word}"
            for word in (
                "created",
                "in_transit",
                "paid",
                "failed",
                "returned",
                "canceled",
                "rejected",
            )
        ),
        *(f"payout_run.{word}" for word in ("awaiting_approval", "completed", "rejected")),
        *(f"break.{word}" for word in ("opened", "resolved")),
        *(f"saga.{word}" for word in ("parked", "resolved")),
        ENDPOINT_DISABLED,
    }
)
"""What an endpoint can subscribe to."""


class EventView(View):
    """What happened, with the object as it was then.

    `id` is also the `webhook-id` of its deliveries.
    """

    id: str
    type: str
    timestamp: datetime
    data: dict[str, Any]


class WebhookEndpointView(View):
    """An endpoint that takes events. `merchant_id` is null for one that takes those of all."""

    id: str
    url: str
    events: list[str]
    merchant_id: str | None
    status: str
    created_at: datetime
