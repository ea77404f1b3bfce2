"""Rows as callers see them. The one place where a row becomes a view, for the API, the events and
the sagas alike.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from recompense.contracts.views import (
    CaptureView,
    Destination,
    FailureView,
    NextAction,
    PaymentView,
    PayoutView,
    RefundView,
)
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, RefundStatus
from recompense.persistence.tables import Capture, Payment, Payout, Refund

AUTHORIZED_STATUSES = frozenset(
    {
        PaymentStatus.AUTHORIZED,
        PaymentStatus.PARTIALLY_CAPTURED,
        PaymentStatus.PARTIALLY_REFUNDED,
        PaymentStatus.REFUNDED,
    }
)
"""The statuses in which some of the authorization may be left: refunds leave the rest as it is."""


def failure_view(failure: dict[str, Any] | None) -> FailureView | None:
    """Read a stored failure."""
    return None if failure is None else FailureView.model_validate(failure)


def capturable(payment: Payment) -> int:
    """What a capture or a void may still take, in minor units: nothing while a void is under way,
    and nothing of a payment that is not authorized or has ended.
    """
    if payment.void_open or payment.status not in AUTHORIZED_STATUSES:
        return 0
    return uncaptured(payment)


def uncaptured(payment: Payment) -> int:
    """What is authorized and neither captured, voided nor reserved by an open capture, in minor
    units.
    """
    return (
        payment.amount_authorized
        - payment.amount_captured
        - payment.amount_voided
        - payment.amount_capture_reserved
    )


def refundable(payment: Payment) -> int:
    """What a refund may still take, in minor units."""
    return payment.amount_captured - payment.amount_refunded - payment.amount_refund_reserved


def payment_view(payment: Payment) -> PaymentView:
    """Show a payment."""
    return PaymentView(
        id=payment.id,
        status=PaymentStatus(payment.status),
        merchant_id=payment.merchant_id,
        amount=payment.amount,
        currency=payment.currency,
        amount_authorized=payment.amount_authorized,
        amount_capturable=capturable(payment),
        amount_captured=payment.amount_captured,
        amount_refunded=payment.amount_refunded,
        capture_method=cast(Literal["manual", "automatic"], payment.capture_method),
        provider=payment.provider,
        provider_reference=payment.provider_reference,
        reference=payment.reference,
        description=payment.description,
        metadata=payment.extra,
        failure=failure_view(payment.failure),
        next_action=NextAction.model_validate(payment.next_action) if payment.next_action else None,
        needs_attention=payment.needs_attention,
        authorization_expires_at=payment.authorization_expires_at,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
    )


def capture_view(capture: Capture) -> CaptureView:
    """Show a capture."""
    return CaptureView(
        id=capture.id,
        payment_id=capture.payment_id,
        amount=capture.amount,
        currency=capture.currency,
        status=CaptureStatus(capture.status),
        final=capture.final,
        fee=capture.fee,
        failure=failure_view(capture.failure),
        created_at=capture.created_at,
        updated_at=capture.updated_at,
    )


def refund_view(refund: Refund) -> RefundView:
    """Show a refund."""
    return RefundView(
        id=refund.id,
        payment_id=refund.payment_id,
        amount=refund.amount,
        currency=refund.currency,
        status=RefundStatus(refund.status),
        reason=refund.reason,
        failure=failure_view(refund.failure),
        provider_reference=refund.provider_reference,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
    )


def payout_view(payout: Payout) -> PayoutView:
    """Show a payout."""
    return PayoutView(
        id=payout.id,
        merchant_id=payout.merchant_id,
        amount=payout.amount,
        currency=payout.currency,
        status=PayoutStatus(payout.status),
        destination=Destination(token=payout.destination_token),
        reference=payout.reference,
        run_id=payout.run_id,
        failure=failure_view(payout.failure),
        provider_reference=payout.provider_reference,
        needs_attention=payout.needs_attention,
        created_at=payout.created_at,
        updated_at=payout.updated_at,
    )
