"""Payments: authorized, shown, voided, and their whole life as a timeline."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.access import allows, caller_of
from api.bodies import JsonBody
from api.completing import complete
from api.finding import payment_of, show, unstarted_resource
from api.idempotency import require_key
from api.openapi import acts, body_of, creates, reads
from api.operations import carry
from api.pages import ListOf, Page, PageOf, json_response, page
from api.parts import parts_of
from api.problems import Problem
from api.requests import CompletePayment, CreatePayment, VoidPayment
from recompense.contracts.sagas import AuthorizeInput, VoidInput
from recompense.contracts.scopes import Scope
from recompense.contracts.views import PaymentView
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import reads as rows
from recompense.persistence import timeline
from recompense.persistence.tables import Payment
from recompense.persistence.timeline import TimelineRow
from recompense.persistence.views import payment_view

router = APIRouter(tags=["payments"])

_READERS = allows(Scope.PAYMENTS_READ)
_WRITERS = allows(Scope.PAYMENTS_WRITE)
_KEY = Depends(require_key)
_CreateBody = JsonBody(CreatePayment)
_VoidBody = JsonBody(VoidPayment, optional=True)
_CompleteBody = JsonBody(CompletePayment)


@router.post(
    "/v1/payments",
    dependencies=[_WRITERS, _KEY],
    **creates(PaymentView, "Authorize a payment"),
    openapi_extra=body_of(CreatePayment, waits=True),
)
async def create_payment(
    request: Request, body: Annotated[CreatePayment, Depends(_CreateBody)]
) -> Response:
    """Authorize a payment, and capture it at once where `capture_method` is `automatic`.

    A decline is an answer, not an error: 201 with `status: declined`.
    """
    caller = caller_of(request)
    await parts_of(request).merchants.require(caller, body.merchant_id)
    saga = AuthorizeInput(
        payment_id=new_id(IdPrefix.PAYMENT),
        merchant_id=body.merchant_id,
        amount=body.amount,
        currency=body.currency,
        token=body.payment_method.token,
        payment_method=body.payment_method.type,
        capture_method=body.capture_method,
        provider=body.provider,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        requested_by=caller.subject,
    )
    return await carry(request, saga)


@router.get("/v1/payments", dependencies=[_READERS], **reads(Page[PaymentView], "List payments"))
async def list_payments(request: Request, query: ListOf) -> Response:
    """The newest payments first."""
    async with parts_of(request).database.transaction() as session:
        found = await rows.listed(session, Payment, query.filters(caller_of(request)))
    return page(found, query.limit, payment_view, lambda row: row.id)


@router.get(
    "/v1/payments/{payment_id}", dependencies=[_READERS], **reads(PaymentView, "Read a payment")
)
async def read_payment(request: Request, payment_id: str) -> Response:
    """A payment as it is now; `processing` until its saga has run its first step."""
    return await show(request, IdPrefix.PAYMENT, payment_id, Payment, payment_view)


@router.post(
    "/v1/payments/{payment_id}/void",
    dependencies=[_WRITERS, _KEY],
    **acts(PaymentView, "Void a payment"),
    openapi_extra=body_of(VoidPayment, optional=True, waits=True),
)
async def void_payment(
    request: Request, payment_id: str, body: Annotated[VoidPayment, Depends(_VoidBody)]
) -> Response:
    """Void what is neither captured nor being captured."""
    payment = await payment_of(request, payment_id, unstarted="payment_not_voidable")
    async with parts_of(request).database.transaction() as session:
        number = await rows.next_void_number(session, payment_id)
    saga = VoidInput(
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        number=number,
        reason=body.reason,
        requested_by=caller_of(request).subject,
    )
    return await carry(request, saga, acts=True)


@router.post(
    "/v1/payments/{payment_id}/complete",
    dependencies=[_WRITERS, _KEY],
    **acts(PaymentView, "Complete a payer's action"),
    openapi_extra=body_of(CompletePayment, waits=True),
)
async def complete_payment(
    request: Request, payment_id: str, body: Annotated[CompletePayment, Depends(_CompleteBody)]
) -> Response:
    """Hand in what the payer brought back from `next_action`, so that the payment goes on.

    It is no proof: the provider is handed it, or asked. 200 with `status: requires_action` says
    that the payer still has to act. The same parameters again are the same request.
    """
    payment = await payment_of(request, payment_id, unstarted="payment_needs_no_action")
    return await complete(request, payment, body.parameters)


@router.get(
    "/v1/payments/{payment_id}/timeline",
    dependencies=[_READERS],
    **reads(Page[TimelineRow], "Read a payment's whole life"),
)
async def read_timeline(request: Request, payment_id: str, query: PageOf) -> Response:
    """Everything that happened to a payment, in order: saga steps, attempts, provider calls,
    compensations, ledger transfers, webhooks and what people did.
    """
    if await unstarted_resource(request, IdPrefix.PAYMENT, payment_id, Payment) is not None:
        return json_response(Page[TimelineRow](data=[], next_cursor=None))
    after = timeline.read_place(query.after)
    if after is None:
        raise Problem("validation_failed", "This cursor was not given out by this list.")
    async with parts_of(request).database.transaction() as session:
        found = await timeline.of_payment(session, payment_id, after=after, limit=query.limit)
    return page(found, query.limit, lambda placed: placed[0], lambda placed: str(placed[1]))
