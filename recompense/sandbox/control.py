"""The control surface: faults, effects, webhooks, settlement.

For tests, benchmarks and demonstrations.
"""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recompense.sandbox.bodies import Body, FaultBody, SettleBody, WebhookModeBody
from recompense.sandbox.faults import FaultBook
from recompense.sandbox.outbox import Outbox
from recompense.sandbox.rendering import moment
from recompense.sandbox.settlement import NothingToCorrupt, Settlement
from recompense.sandbox.store import Store

_Model = TypeVar("_Model", bound=Body)


async def read_body(request: Request, model: type[_Model]) -> _Model | Response:
    """The validated body, or the 400 that says what is wrong with it."""
    try:
        return model.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        return error_response(400, "invalid_request", f"{where}: {first['msg']}")


def error_response(status: int, code: str, message: str) -> Response:
    """The vendor's form of an error."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


class Control:
    """Handlers of `/_control`."""

    def __init__(
        self, store: Store, faults: FaultBook, outbox: Outbox, settlement: Settlement
    ) -> None:
        self._store = store
        self._faults = faults
        self._outbox = outbox
        self._settlement = settlement

    def routes(self) -> list[Route]:
        """The routes of the control surface."""
        return [
            Route("/_control/faults", self._arm, methods=["POST"]),
            Route("/_control/faults", self._list_faults, methods=["GET"]),
            Route("/_control/faults", self._clear, methods=["DELETE"]),
            Route("/_control/effects", self._effects, methods=["GET"]),
            Route("/_control/webhooks", self._set_mode, methods=["POST"]),
            Route("/_control/webhooks", self._list_webhooks, methods=["GET"]),
            Route("/_control/settle", self._settle, methods=["POST"]),
        ]

    async def _arm(self, request: Request) -> Response:
        body = await read_body(request, FaultBody)
        if isinstance(body, Response):
            return body
        armed = self._faults.arm(
            body.operation, body.fault, body.times, body.match.reference, body.delay_ms
        )
        return JSONResponse(armed.as_json(), 201)

    async def _list_faults(self, _request: Request) -> Response:
        return JSONResponse({"data": [armed.as_json() for armed in self._faults.listed()]})

    async def _clear(self, _request: Request) -> Response:
        self._faults.clear()
        return Response(status_code=204)

    async def _effects(self, request: Request) -> Response:
        reference = request.query_params.get("reference")
        rows = (
            self._store.rows("SELECT * FROM effects ORDER BY seq")
            if reference is None
            else self._store.rows(
                "SELECT * FROM effects WHERE reference = ? ORDER BY seq", reference
            )
        )
        names = ("operation", "reference", "effect_key", "amount", "currency")
        data = [{**{name: row[name] for name in names}, "at": moment(row["at"])} for row in rows]
        return JSONResponse({"data": data})

    async def _set_mode(self, request: Request) -> Response:
        body = await read_body(request, WebhookModeBody)
        if isinstance(body, Response):
            return body
        self._outbox.set_mode(body.mode, body.delay_ms)
        return JSONResponse({"mode": body.mode, "delay_ms": body.delay_ms})

    async def _list_webhooks(self, _request: Request) -> Response:
        data = [
            {
                "event_id": row["event_id"],
                "type": row["type"],
                "reference": row["reference"],
                "mode": row["mode"],
                "sent_at": moment(row["sent_at"]),
                "status_code": row["status_code"],
                "headers": json.loads(row["headers"]),
                "body": row["body"],
            }
            for row in self._outbox.sent()
        ]
        return JSONResponse({"data": data})

    async def _settle(self, request: Request) -> Response:
        body = await read_body(request, SettleBody)
        if isinstance(body, Response):
            return body
        date = body.date.isoformat()
        try:
            lines = self._settlement.write(date, body.corrupt)
        except NothingToCorrupt:
            return error_response(409, "nothing_to_corrupt", "The report has no line to spoil.")
        return JSONResponse(
            {"date": date, "lines": lines, "report": f"/v1/settlements/{date}"}, 201
        )
