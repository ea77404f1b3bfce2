"""Resources whose saga has not run its first step yet: what was asked, as the claim keeps it."""

from __future__ import annotations

from datetime import datetime

from pydantic import TypeAdapter
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.sagas import (
    AuthorizeInput,
    CaptureInput,
    PayoutInput,
    RefundInput,
    SagaInput,
    VoidInput,
)
from recompense.contracts.views import (
    CaptureView,
    Destination,
    PaymentView,
    PayoutView,
    RefundView,
)
from recompense.contracts.words import AnySagaInput
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, RefundStatus
from recompense.persistence.claims import StoredClaim
from recompense.persistence.reads import AnyView
from recompense.persistence.tables import Payment
from recompense.persistence.views import capturable, payment_view, refundable

_SAGA_INPUT: TypeAdapter[AnySagaInput] = TypeAdapter(SagaInput)


def saga_of(claim: StoredClaim) -> AnySagaInput:
    """The input that was stored with a claim."""
    return _SAGA_INPUT.validate_python(claim.saga_input)


async def unstarted_view(
    session: AsyncSession, saga: AnySagaInput, made_at: datetime
) -> AnyView | None:
    """The resource that an operation is going to make or change.

    None: what it is about is missing.
    """
    match saga:
        case AuthorizeInput():
            return _payment(saga, made_at)
        case PayoutInput():
            return _payout(saga, made_at)
    payment = await session.get(Payment, saga.payment_id)
    if payment is None:
        return None
    match saga:
        case VoidInput():
            return payment_view(payment)
        case CaptureInput():
            return _capture(saga, payment, made_at)
        case RefundInput():
            return _refund(saga, payment, made_at)


def _payment(saga: AuthorizeInput, made_at: datetime) -> PaymentView:
    return PaymentView(
        id=saga.payment_id,
        status=PaymentStatus.PROCESSING,
        merchant_id=saga.merchant_id,
        amount=saga.amount,
        currency=saga.currency,
        amount_authorized=0,
        amount_capturable=0,
        amount_captured=0,
        amount_refunded=0,
        capture_method=saga.capture_method,
        provider=saga.provider,
        provider_reference=None,
        reference=saga.reference,
        description=saga.description,
        metadata=saga.metadata,
        failure=None,
        next_action=None,
        needs_attention=False,
        authorization_expires_at=None,
        created_at=made_at,
        updated_at=made_at,
    )


def _capture(saga: CaptureInput, payment: Payment, made_at: datetime) -> CaptureView:
    return CaptureView(
        id=saga.capture_id,
        payment_id=saga.payment_id,
        amount=saga.amount or capturable(payment),
        currency=payment.currency,
        status=CaptureStatus.PENDING,
        final=saga.final,
        fee=0,
        failure=None,
        created_at=made_at,
        updated_at=made_at,
    )


def _refund(saga: RefundInput, payment: Payment, made_at: datetime) -> RefundView:
    return RefundView(
        id=saga.refund_id,
        payment_id=saga.payment_id,
        amount=saga.amount or refundable(payment),
        currency=payment.currency,
        status=RefundStatus.PENDING,
        reason=saga.reason,
        failure=None,
        provider_reference=None,
        created_at=made_at,
        updated_at=made_at,
    )


def _payout(saga: PayoutInput, made_at: datetime) -> PayoutView:
    return PayoutView(
        id=saga.payout_id,
        merchant_id=saga.merchant_id,
        amount=saga.amount,
        currency=saga.currency,
        status=PayoutStatus.PENDING,
        destination=Destination(token=saga.token),
        reference=saga.reference,
        run_id=saga.run_id,
        failure=None,
        provider_reference=None,
        needs_attention=False,
        created_at=made_at,
        updated_at=made_at,
    )
