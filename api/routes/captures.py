"""Captures of a payment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.access import allows, caller_of
from api.bodies import JsonBody
from api.finding import payment_of, show, unstarted_resource
from api.idempotency import require_key
from api.openapi import body_of, creates, reads
from api.operations import carry
from api.pages import ListOf, Page, page
from api.parts import parts_of
from api.requests import CreateCapture
from recompense.contracts.sagas import CaptureInput
from recompense.contracts.scopes import Scope
from recompense.contracts.views import CaptureView
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import reads as rows
from recompense.persistence.tables import Capture, Payment
from recompense.persistence.views import capture_view

router = APIRouter(tags=["captures"])

_READERS = allows(Scope.PAYMENTS_READ)
_Body = JsonBody(CreateCapture, optional=True)


@router.post(
    "/v1/payments/{payment_id}/captures",
    dependencies=[allows(Scope.PAYMENTS_WRITE), Depends(require_key)],
    **creates(CaptureView, "Capture a payment"),
    openapi_extra=body_of(CreateCapture, optional=True, waits=True),
)
async def create_capture(
    request: Request, payment_id: str, body: Annotated[CreateCapture, Depends(_Body)]
) -> Response:
    """Capture an amount of an authorized payment, by default all that is left.

    A capture that the provider declines is 201 with `status: failed`.
    """
    payment = await payment_of(request, payment_id, unstarted="payment_not_capturable")
    saga = CaptureInput(
        capture_id=new_id(IdPrefix.CAPTURE),
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        amount=body.amount,
        final=body.final,
        requested_by=caller_of(request).subject,
    )
    return await carry(request, saga)


@router.get(
    "/v1/payments/{payment_id}/captures",
    dependencies=[_READERS],
    **reads(Page[CaptureView], "List a payment's captures"),
)
async def list_captures(request: Request, payment_id: str, query: ListOf) -> Response:
    """The newest captures first."""
    await unstarted_resource(request, IdPrefix.PAYMENT, payment_id, Payment)
    async with parts_of(request).database.transaction() as session:
        filters = query.filters(caller_of(request), payment_id)
        found = await rows.listed(session, Capture, filters)
    return page(found, query.limit, capture_view, lambda row: row.id)


@router.get(
    "/v1/captures/{capture_id}", dependencies=[_READERS], **reads(CaptureView, "Read a capture")
)
async def read_capture(request: Request, capture_id: str) -> Response:
    """A capture as it is now."""
    return await show(request, IdPrefix.CAPTURE, capture_id, Capture, capture_view)
