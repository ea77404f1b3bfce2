"""Endpoints that take our events: made, shown, rotated, enabled again, deleted."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from api import answers
from api.access import allows, caller_of
from api.answers import Answer
from api.bodies import JsonBody
from api.idempotency import Held, claim_for, require_key
from api.openapi import acts, body_of, creates, reads, refusals
from api.pages import ListOf, Page, json_response, page
from api.parts import parts_of
from api.problems import Problem, invalid
from api.requests import (
    CreateWebhookEndpoint,
    EnableEndpoint,
    RotateSecret,
)
from recompense.contracts.events import WebhookEndpointView
from recompense.contracts.scopes import Scope
from recompense.domain.ids import IdPrefix, is_id, new_id
from recompense.persistence import webhooks
from recompense.persistence.webhook_tables import WebhookEndpoint
from recompense.vault import Unopenable
from recompense.webhooks.signing import new_secret
from recompense.webhooks.targets import TargetRefused, check_url

router = APIRouter(tags=["webhooks"])

_GUARDED = allows(Scope.WEBHOOKS_WRITE)
_WRITES = [_GUARDED, Depends(require_key)]
_CreateBody = JsonBody(CreateWebhookEndpoint)
_RotateBody = JsonBody(RotateSecret, optional=True)
_EnableBody = JsonBody(EnableEndpoint, optional=True)
_KEPT = ("Location", "Idempotent-Replayed")


class NewSecretView(WebhookEndpointView):
    """An endpoint with its new secret, which is shown in this answer only."""

    secret: str | None = Field(description="`whsec_...`. Note it: it is not shown again.")


@router.post(
    "/v1/webhook-endpoints",
    dependencies=_WRITES,
    **creates(NewSecretView, "Take events at a URL"),
    openapi_extra=body_of(CreateWebhookEndpoint),
)
async def create_endpoint(
    request: Request, body: Annotated[CreateWebhookEndpoint, Depends(_CreateBody)]
) -> Response:
    """Deliver events to a URL from now on. The answer holds the secret that signs them."""
    caller, parts = caller_of(request), parts_of(request)
    _check_target(request, body.url)
    merchant_id = body.merchant_id or caller.merchant_id
    if merchant_id is not None:
        await parts.merchants.require(caller, merchant_id)
    claim = claim_for(
        request, merchant_id=merchant_id, resource_id=new_id(IdPrefix.WEBHOOK_ENDPOINT)
    )

    async def perform(held: Held) -> Answer:
        chosen = held.earlier.resource_id if held.earlier else claim.resource_id
        endpoint_id = str(chosen)
        try:
            async with parts.database.transaction() as session:
                made = await webhooks.create(
                    session,
                    endpoint_id=endpoint_id,
                    merchant_id=merchant_id,
                    url=body.url,
                    events=body.events,
                    secret=parts.vault.seal(new_secret(), endpoint_id),
                    actor=caller.subject,
                )
        except webhooks.TooManyEndpoints:
            problem = Problem("too_many_webhook_endpoints")
            return answers.of_problem(problem, request.state.request_id)
        return _with_secret(made, 201)

    return _revealed(request, await parts.idempotency.once(claim, perform))


@router.get(
    "/v1/webhook-endpoints",
    dependencies=[_GUARDED],
    **reads(Page[WebhookEndpointView], "List webhook endpoints"),
)
async def list_endpoints(request: Request, query: ListOf) -> Response:
    """The newest first."""
    async with parts_of(request).database.transaction() as session:
        rows = await webhooks.listed(session, query.filters(caller_of(request)))
    return page(rows, query.limit, webhooks.endpoint_view, lambda row: row.id)


@router.get(
    "/v1/webhook-endpoints/{endpoint_id}",
    dependencies=[_GUARDED],
    **reads(WebhookEndpointView, "Read a webhook endpoint"),
)
async def read_endpoint(request: Request, endpoint_id: str) -> Response:
    """Without its secret."""
    return json_response(webhooks.endpoint_view(await endpoint_of(request, endpoint_id)))


@router.delete(
    "/v1/webhook-endpoints/{endpoint_id}",
    dependencies=[_GUARDED],
    status_code=204,
    summary="Delete a webhook endpoint",
    responses=refusals(401, 403, 404, 422, 429, 503),
)
async def delete_endpoint(request: Request, endpoint_id: str) -> Response:
    """Deliver no more to it: what was on its way is not sent again."""
    await endpoint_of(request, endpoint_id)
    async with parts_of(request).database.transaction() as session:
        await webhooks.delete(session, endpoint_id, actor=caller_of(request).subject)
    return Response(status_code=204)


@router.post(
    "/v1/webhook-endpoints/{endpoint_id}/rotate",
    dependencies=_WRITES,
    **acts(NewSecretView, "Make a new secret"),
    openapi_extra=body_of(RotateSecret, optional=True),
)
async def rotate_secret(
    request: Request, endpoint_id: str, body: Annotated[RotateSecret, Depends(_RotateBody)]
) -> Response:
    """Sign with a new secret, and for a while with the one before it as well."""
    parts = parts_of(request)
    await endpoint_of(request, endpoint_id)
    claim = claim_for(request)

    async def change(session: AsyncSession, _: Held) -> Answer:
        rotated = await webhooks.rotate(
            session,
            endpoint_id,
            secret=parts.vault.seal(new_secret(), endpoint_id),
            rotation=claim.id.hex(),
            overlap_hours=body.overlap_hours,
            actor=caller_of(request).subject,
        )
        return _with_secret(_there(rotated), 200)

    return _revealed(request, await acted(request, change))


@router.post(
    "/v1/webhook-endpoints/{endpoint_id}/enable",
    dependencies=_WRITES,
    **acts(WebhookEndpointView, "Deliver to a disabled endpoint again"),
    openapi_extra=body_of(EnableEndpoint, optional=True),
)
async def enable_endpoint(
    request: Request, endpoint_id: str, _: Annotated[EnableEndpoint, Depends(_EnableBody)]
) -> Response:
    """Deliver what waits for it, and what comes. What came meanwhile is redelivered by hand."""
    await endpoint_of(request, endpoint_id)

    async def change(session: AsyncSession, _: Held) -> Answer:
        enabled = await webhooks.enable(session, endpoint_id, actor=caller_of(request).subject)
        return Answer(200, webhooks.endpoint_view(_there(enabled)).model_dump_json())

    return await acted(request, change)


async def acted(
    request: Request,
    change: Callable[[AsyncSession, Held], Awaitable[Answer]],
    *,
    resource_id: str | None = None,
) -> Response:
    """Change something once for the request's key, in one transaction."""
    parts = parts_of(request)

    async def perform(held: Held) -> Answer:
        async with parts.database.transaction() as session:
            return await change(session, held)

    return await parts.idempotency.once(claim_for(request, resource_id=resource_id), perform)


async def endpoint_of(request: Request, endpoint_id: str) -> WebhookEndpoint:
    """An endpoint that the caller may see. Raises `Problem` 404."""
    found = None
    if is_id(IdPrefix.WEBHOOK_ENDPOINT, endpoint_id):
        async with parts_of(request).database.transaction() as session:
            found = await webhooks.find(session, endpoint_id)
    if found is None or not caller_of(request).may_see(found.merchant_id):
        raise Problem("not_found", "There is no such webhook endpoint.")
    return found


def _there(endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    """An endpoint that was there a moment ago. Raises `Problem` 404: it was deleted meanwhile."""
    if endpoint is None:
        raise Problem("not_found", "There is no such webhook endpoint.")
    return endpoint


def _check_target(request: Request, url: str) -> None:
    options = parts_of(request).options
    try:
        check_url(url, allow_private=options.webhook_allow_private_targets)
    except TargetRefused as refused:
        raise invalid("url", refused.code, str(refused)) from None


def _with_secret(endpoint: WebhookEndpoint, status: int) -> Answer:
    """The answer as it is stored with its key: the secret is sealed in it."""
    shown = NewSecretView(**webhooks.endpoint_view(endpoint).model_dump(), secret=endpoint.secret)
    return Answer(status, shown.model_dump_json(), f"/v1/webhook-endpoints/{endpoint.id}")


def _revealed(request: Request, stored: Response) -> Response:
    """The answer as it goes out: the secret as the receiver needs it."""
    if stored.status_code >= 400:
        return stored
    shown = NewSecretView.model_validate_json(bytes(stored.body), strict=False)
    try:
        secret = parts_of(request).vault.open(str(shown.secret), shown.id)
    except Unopenable:
        # The key that sealed it is gone, long after the first answer: make a new secret.
        secret = None
    body = json.loads(bytes(stored.body)) | {"secret": secret}
    headers = {name: stored.headers[name] for name in _KEPT if name in stored.headers}
    return Response(json.dumps(body), stored.status_code, headers, "application/json")
