"""The outermost layer: a request id on every answer, an access log, metrics, nothing unhandled."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem
from recompense.domain.card_numbers import holds_card_number, shortened
from recompense.observability import HttpMetrics

_OUR_HEADER = b"x-request-id"
_GIVEN_ID = re.compile(rb"[A-Za-z0-9_.-]{8,64}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_LONGEST_PATH_LOGGED = 256

log = structlog.get_logger()


class Edge:
    """Plain ASGI, so that it costs little and cancels nothing."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(send, request_id)
        began = time.perf_counter()
        tokens = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            # Its type and where it happened, never its text: a database's error may repeat a value.
            log.error(  # noqa: TRY400 - a trace may repeat values
                "http.broken", error=type(error).__name__, at=_place(error)
            )
            if not exchange.begun:
                await Problem("internal_error").response(request_id)(scope, receive, exchange.send)
        finally:
            self._note(scope, exchange.status, time.perf_counter() - began)
            structlog.contextvars.reset_contextvars(**tokens)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"]
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        if scope["path"] not in _QUIET:
            caller = scope["state"].get("caller")
            log.info(
                "http.request",
                method=method,
                path=shortened(scope["path"], _LONGEST_PATH_LOGGED),
                status=status,
                ms=round(seconds * 1000, 1),
                caller=caller.subject if caller else None,
            )


class _Exchange:
    """One answer on its way out."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._header = (_OUR_HEADER, request_id.encode())
        self.begun = False
        self.status = 500

    async def send(self, message: Message) -> None:
        """Pass a message on, with the request id in the answer's head."""
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), self._header]
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is one, so that both logs can be joined; else a new one."""
    for name, value in scope["headers"]:
        if name == _OUR_HEADER and _GIVEN_ID.fullmatch(value):
            given = value.decode()
            if not holds_card_number(given):
                return str(given)
    return uuid4().hex


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "unknown"
    code = trace.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}"
