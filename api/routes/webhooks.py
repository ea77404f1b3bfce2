"""Inbound webhooks: verified by the provider's adapter, stored once, acknowledged fast."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy.exc import DataError
from starlette.responses import PlainTextResponse, Response

from api.access import PUBLIC
from api.bodies import read_bounded
from api.openapi import refusals
from api.pages import json_response
from api.parts import parts_of
from api.problems import Problem
from recompense.contracts.port_extras import verified_events
from recompense.contracts.provider import WebhookRefused
from recompense.contracts.sagas import ProviderEventInput
from recompense.persistence import inbox

router = APIRouter(tags=["webhooks"])


class Received(BaseModel):
    """The event is stored; it is applied on its own."""

    received: bool = True


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Received},
    **refusals(400, 404, 413, 503),
}


@router.post(
    "/webhooks/{provider}",
    dependencies=[PUBLIC],
    summary="Take a provider's webhook",
    responses=_RESPONSES,
)
async def receive_webhook(request: Request, provider: str) -> Response:
    """The signature is the authentication: what does not verify is refused and stored nowhere.

    A duplicate starts its workflow again by its id, in case the first delivery died on the way.
    """
    parts = parts_of(request)
    if provider not in parts.providers:
        raise Problem("provider_not_found")
    served = parts.providers[provider]
    body = await read_bounded(request, parts.options.max_body_bytes)
    try:
        events = verified_events(served.port, dict(request.headers), body)
    except WebhookRefused as refused:
        raise Problem(refused.code, str(refused)) from None
    try:
        async with parts.database.transaction() as session:
            for event in events:
                await inbox.store(session, event)
    except DataError:
        raise Problem("webhook_malformed") from None
    # When Temporal does not take it now, the relay finds it stored and starts it later.
    for event in events:
        await parts.sagas.apply_event(
            ProviderEventInput(provider=provider, event_id=event.event_id)
        )
    answer = served.capabilities.webhook_answer
    return json_response(Received()) if answer is None else PlainTextResponse(answer)
