"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, Response

from api.access import PUBLIC
from api.docs_page import render
from api.openapi import document, refusals
from api.pages import json_response
from api.parts import parts_of
from api.problems import RETRY_SOON, Problem
from recompense.persistence import reads
from recompense.persistence.migrations import head_revision

router = APIRouter(tags=["system"], dependencies=[PUBLIC])

_READY: dict[int | str, dict[str, Any]] = refusals(503)


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Ready(BaseModel):
    """Every part answers, and the database is at the revision that this code expects."""

    status: str = "ok"
    database: bool
    temporal: bool
    migrations: bool


@router.get("/healthz", summary="Is the process alive", response_model=Alive)
async def read_health() -> Response:
    """Touches no other part."""
    return json_response(Alive())


@router.get("/readyz", summary="Is it ready for traffic", response_model=Ready, responses=_READY)
async def read_readiness(request: Request) -> Response:
    """Asks the database, Temporal, and whether the migrations are applied."""
    parts = parts_of(request)
    database, revision = True, None
    try:
        async with parts.database.transaction() as session:
            revision = await reads.applied_revision(session)
    except (SQLAlchemyError, OSError):
        database = False
    ready = Ready(
        database=database,
        temporal=await parts.sagas.answers(),
        migrations=revision is not None and revision == head_revision(),
    )
    missing = [name for name, well in ready if well is False]
    if missing:
        raise Problem(
            "not_ready",
            f"Not ready: {', '.join(missing)}.",
            headers=RETRY_SOON,
            members={name: "down" for name in missing},
        )
    return json_response(ready)


@router.get("/metrics", include_in_schema=False)
async def read_metrics(request: Request) -> Response:
    """Prometheus: what this process counts, and what the watch finds in the database."""
    parts, watching = parts_of(request), request.app.state.watching
    await watching.refresh(
        parts.database,
        interval_seconds=parts.options.watch_interval_seconds,
        stuck_after_seconds=parts.options.watch_stuck_after_seconds,
    )
    registry = request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def read_openapi(request: Request) -> Response:
    """The OpenAPI document."""
    body: str = request.app.state.openapi_json
    return Response(body, media_type="application/json")


@router.get("/docs", include_in_schema=False)
async def read_docs(request: Request) -> Response:
    """The same as a page, readable without a network."""
    return HTMLResponse(render(document(request.app)))
