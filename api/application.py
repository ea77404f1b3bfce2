"""The FastAPI application, from its parts: routes, and how every failure becomes a problem
document.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api.edge import Edge
from api.gate import Gated
from api.openapi import document
from api.parts import Parts
from api.problems import RETRY_SOON, FieldError, Problem
from api.routes import (
    captures,
    deliveries,
    events,
    ledger,
    merchants,
    ops,
    payments,
    payout_runs,
    payouts,
    providers,
    reconciliations,
    refunds,
    statements,
    system,
    webhook_endpoints,
    webhooks,
)
from api.watching import Watching
from recompense.observability import HttpMetrics, ShadowMetrics, WatchMetrics, WebhookMetrics

OpenParts = Callable[[], AbstractAsyncContextManager[Parts]]

DESCRIPTION = """Payments as durable sagas: authorize, capture, void, refund, pay out.

Amounts are whole minor units with an ISO 4217 currency. Every POST that changes something takes an
`Idempotency-Key`, and a repeated key moves money once. Refusals are `application/problem+json` with
a stable `code`."""

_ROUTERS = (
    merchants.router,
    statements.router,
    payments.router,
    captures.router,
    refunds.router,
    payouts.router,
    payout_runs.router,
    ledger.router,
    reconciliations.router,
    events.router,
    providers.router,
    ops.router,
    webhook_endpoints.router,
    deliveries.router,
    webhooks.router,
    system.router,
)

log = structlog.get_logger()


def build_app(open_parts: OpenParts) -> FastAPI:
    """Build the application.

    `open_parts` makes what it works with when it starts, and closes it.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_parts() as parts:
            app.state.parts = parts
            try:
                yield
            finally:
                await parts.idempotency.drain()

    app = FastAPI(
        title="Recompense",
        version=version("recompense"),
        description=DESCRIPTION,
        lifespan=lifespan,
        # Flat, not as included routers: what reads the routes (scopes, methods) sees each of them.
        routes=[route for router in _ROUTERS for route in router.routes],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.metrics = HttpMetrics(CollectorRegistry())
    registry = app.state.metrics.registry
    app.state.watching = Watching(
        WatchMetrics(registry), WebhookMetrics(registry), ShadowMetrics(registry)
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # FastAPI's documented seam
    app.state.openapi_json = json.dumps(document(app))
    app.add_middleware(Gated)
    app.add_middleware(Edge, metrics=app.state.metrics)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(SQLAlchemyError, _database_failure)
    app.add_exception_handler(OSError, _database_failure)
    return app


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - what the handler is registered for
    return error.response(request.state.request_id)


async def _invalid_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    errors = [
        FieldError(field=str(one["loc"][-1]), code=one["type"], message=one["msg"])
        for one in error.errors()
    ]
    problem = Problem("validation_failed", f"{errors[0].field}: {errors[0].message}", errors=errors)
    return problem.response(request.state.request_id)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods(request)))
        problem = Problem("method_not_allowed", headers={"Allow": allowed})
    elif error.status_code == 404:
        problem = Problem("not_found")
    else:
        problem = Problem("bad_request")
    return problem.response(request.state.request_id)


async def _database_failure(request: Request, error: Exception) -> Response:
    """A database that is away is 503; a statement of ours that it refuses is a fault of ours."""
    away = isinstance(error, PoolTimeout | OSError) or (
        isinstance(error, DBAPIError) and _is_away(error)
    )
    log.error("database.failed", error=type(error).__name__, away=away)
    code, headers = ("database_unavailable", RETRY_SOON) if away else ("internal_error", None)
    return Problem(code, headers=headers).response(request.state.request_id)


def _is_away(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    # No state: there was no answer. 08: connection, 53: no room, 57: stopping, canceled by a
    # timeout,
    # 55: a lock was not given in time, 40: serialization.
    return state is None or state[:2] in {"08", "40", "53", "55", "57"}


def _methods(request: Request) -> set[str]:
    """All methods that the path takes: several routes may share it."""
    return {
        method
        for route in request.app.router.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
