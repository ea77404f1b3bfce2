"""Every event that the sagas can emit is one that an endpoint can subscribe to."""

from __future__ import annotations

from recompense.contracts.events import EVENT_TYPES, TEST_EVENT
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, RefundStatus

UNDER_WAY = {"processing", "pending", "awaiting_approval"}
"""Statuses that nothing is told of: `payout.created` tells of a payout's beginning."""


def test_each_status_that_is_told_of_is_a_type() -> None:
    told = {
        f"{kind}.{status}"
        for kind, statuses in (
            ("payment", PaymentStatus),
            ("capture", CaptureStatus),
            ("refund", RefundStatus),
            ("payout", PayoutStatus),
        )
        for status in statuses
        if status not in UNDER_WAY
    }
    assert told <= EVENT_TYPES
    of_statuses = ("payment.", "capture.", "refund.", "payout.")
    assert {name for name in EVENT_TYPES if name.startswith(of_statuses)} - told == {
        "payout.created"
    }


def test_nobody_subscribes_to_test_events() -> None:
    assert TEST_EVENT not in EVENT_TYPES
