"""The codec server: decrypts payloads for the Temporal UI in somebody's browser.

`python -m recompense.stack.codec_server` serves `POST /decode` and `POST /encode` as the UI asks
them. Only pages of the configured UI may read the answers; it listens on the loopback address
unless told otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import uvicorn
from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from recompense.settings import Settings, load_settings
from recompense.temporal import EncryptingCodec, UndecodablePayload

MAX_BODY_BYTES = 16 * 1024 * 1024
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

Translate = Callable[[Sequence[Payload]], Awaitable[list[Payload]]]


def create_app(codec: PayloadCodec, allowed_origins: Sequence[str]) -> Starlette:
    """The server over one codec, for pages of exactly these origins."""

    def route(path: str, translate: Translate) -> Route:
        async def answer(request: Request) -> Response:
            if request.headers.get("origin", allowed_origins[0]) not in allowed_origins:
                return _problem(403, "this origin may not read payloads")
            return await _translated(request, translate)

        return Route(path, answer, methods=["POST"])

    cors = Middleware(
        CORSMiddleware,
        allow_origins=allowed_origins,
        allow_methods=["POST"],
        allow_headers=["content-type", "x-namespace", "authorization"],
    )
    routes = [
        Route("/healthz", _healthz),
        route("/encode", codec.encode),
        route("/decode", codec.decode),
    ]
    return Starlette(routes=routes, middleware=[cors])


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _translated(request: Request, translate: Translate) -> Response:
    # Demanding JSON makes a browser ask first: a page of another origin cannot even send a body.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _problem(415, "payloads come as application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return _problem(413, "too many payloads at once")
    try:
        asked = json_format.Parse(bytes(body), Payloads())
    except (json_format.ParseError, UnicodeDecodeError):
        return _problem(400, 'the body is not {"payloads": [...]}')
    try:
        translated = await translate(asked.payloads)
    except UndecodablePayload as error:
        return _problem(400, str(error))
    answer = {"payloads": [json_format.MessageToDict(payload) for payload in translated]}
    return JSONResponse(answer, headers=HEADERS)


def _problem(status: int, message: str) -> Response:
    return JSONResponse({"message": message}, status_code=status, headers=HEADERS)


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ValueError: no payload encryption key is set.
    """
    app = create_app(EncryptingCodec(settings.payload_keys), settings.codec_allowed_origins)
    config = uvicorn.Config(
        app,
        host=settings.codec_host,
        port=settings.codec_port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    serve(load_settings())
