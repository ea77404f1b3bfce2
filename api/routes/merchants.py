"""Merchants and what they can count on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.callers import Caller
from api.idempotency import Held, claim_for, require_key
from api.openapi import body_of, creates, reads
from api.pages import json_response
from api.parts import parts_of
from api.problems import Problem
from api.requests import CreateMerchant
from recompense.contracts.scopes import Scope
from recompense.domain.ids import IdPrefix, new_id
from recompense.domain.terms import Availability, FeeSchedule, PayoutTerms, RoutingTerms
from recompense.ledger.results import MerchantBalance
from recompense.persistence import ledger, merchants
from recompense.persistence.database import Database
from recompense.persistence.tables import Merchant

router = APIRouter(tags=["merchants"])

_Body = JsonBody(CreateMerchant)
_READERS = allows(Scope.PAYMENTS_READ, Scope.PAYOUTS_READ)


class MerchantView(BaseModel):
    """A merchant."""

    model_config = ConfigDict(frozen=True)

    id: str
    object: Literal["merchant"] = "merchant"
    name: str
    country: str
    payout: PayoutTerms
    fees: FeeSchedule
    availability: Availability
    routing: RoutingTerms
    created_at: datetime


class MerchantBalances(BaseModel):
    """What a merchant can count on, for each currency."""

    data: list[MerchantBalance]


@router.post(
    "/v1/merchants",
    dependencies=[allows(Scope.MERCHANTS_WRITE), Depends(require_key)],
    **creates(MerchantView, "Make a merchant"),
    openapi_extra=body_of(CreateMerchant),
)
async def create_merchant(
    request: Request, body: Annotated[CreateMerchant, Depends(_Body)]
) -> Response:
    """Make a merchant. An `id` of your own is taken once only."""
    caller, parts = caller_of(request), parts_of(request)
    if caller.merchant_id is not None:
        raise Problem("merchant_bound", "A token that is bound to a merchant makes no merchants.")
    claim = claim_for(request, resource_id=body.id or new_id(IdPrefix.MERCHANT))

    async def perform(held: Held) -> Answer:
        merchant_id = held.earlier.resource_id if held.earlier else claim.resource_id
        return await _create(
            parts.database, body, str(merchant_id), caller, request.state.request_id, held
        )

    return await parts.idempotency.once(claim, perform)


async def _create(
    database: Database,
    body: CreateMerchant,
    merchant_id: str,
    caller: Caller,
    request_id: str,
    held: Held,
) -> Answer:
    async with database.transaction() as session:
        merchant = await merchants.create(
            session,
            merchant_id=merchant_id,
            name=body.name,
            country=body.country,
            payout=body.payout,
            fees=body.fees,
            availability=body.availability,
            routing=body.routing,
            actor=caller.subject,
        )
        if merchant is None and held.earlier is not None:
            # A request that died after its commit has made it: under this key it is ours.
            found = await merchants.find(session, merchant_id)
            merchant = found if found and found.created_by == caller.subject else None
    if merchant is None:
        problem = Problem("merchant_exists", members={"existing_id": merchant_id})
        return answers.of_problem(problem, request_id)
    return Answer(201, _view(merchant).model_dump_json(), f"/v1/merchants/{merchant.id}")


@router.get(
    "/v1/merchants/{merchant_id}",
    dependencies=[_READERS],
    **reads(MerchantView, "Read a merchant"),
)
async def read_merchant(request: Request, merchant_id: str) -> Response:
    """Read a merchant and its terms."""
    return json_response(_view(await _visible(request, merchant_id)))


@router.get(
    "/v1/merchants/{merchant_id}/balances",
    dependencies=[_READERS],
    **reads(MerchantBalances, "Read a merchant's balances"),
)
async def read_balances(request: Request, merchant_id: str) -> Response:
    """What the merchant can count on now: holds of open payouts and refunds are taken off."""
    await _visible(request, merchant_id)
    async with parts_of(request).database.transaction() as session:
        return json_response(
            MerchantBalances(data=await ledger.merchant_balances(session, merchant_id))
        )


async def _visible(request: Request, merchant_id: str) -> Merchant:
    if not caller_of(request).may_see(merchant_id) or "\0" in merchant_id:
        raise Problem("merchant_not_found")
    async with parts_of(request).database.transaction() as session:
        merchant = await merchants.find(session, merchant_id)
    if merchant is None:
        raise Problem("merchant_not_found")
    return merchant


def _view(merchant: Merchant) -> MerchantView:
    terms: dict[str, Any] = {
        "rule": merchant.availability_rule,
        "days": merchant.availability_days,
    }
    return MerchantView(
        id=merchant.id,
        name=merchant.name,
        country=merchant.country,
        payout=PayoutTerms.model_validate(merchant.payout),
        fees=FeeSchedule.model_validate(merchant.fees),
        availability=Availability.model_validate(terms),
        routing=RoutingTerms.model_validate(merchant.routing),
        created_at=merchant.created_at,
    )
