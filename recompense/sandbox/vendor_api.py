"""The vendor's API: one path through which every money call goes, so that each fault works on each
operation.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from recompense.sandbox import wire
from recompense.sandbox.bodies import (
    ActionBody,
    CaptureBody,
    ReferenceBody,
    RefundBody,
    TokenBody,
)
from recompense.sandbox.control import error_response, read_body
from recompense.sandbox.courier import Courier
from recompense.sandbox.faults import ArmedFault, Fault, FaultBook
from recompense.sandbox.misconduct import STRANGE_STATUS, misbehaving, shows_strange_status
from recompense.sandbox.options import Options
from recompense.sandbox.payer_page import PAYER_PAGE
from recompense.sandbox.processor import Call, Made, Processor, Refusal
from recompense.sandbox.rendering import rendered
from recompense.sandbox.settlement import Settlement
from recompense.sandbox.tokens import LOST_ONCE_TOKEN, Turn

_Body = TypeVar("_Body", bound=ReferenceBody)
Handler = Callable[[Request], Awaitable[Response]]

_KEY = re.compile(r"[!-~]{1,64}")
_HTTP_STATUS = {Turn.DECLINED: 402, Turn.PENDING: 202, Turn.REQUIRES_ACTION: 202}


class VendorApi:
    """Handlers of `/v1` and of the payer's page."""

    def __init__(
        self,
        options: Options,
        processor: Processor,
        faults: FaultBook,
        settlement: Settlement,
        courier: Courier,
    ) -> None:
        self._options = options
        self._processor = processor
        self._faults = faults
        self._settlement = settlement
        self._courier = courier
        self._keys_in_progress: set[str] = set()

    def routes(self) -> list[Route]:
        """The routes of the vendor's API."""
        money = {
            "/v1/authorizations": self._money("authorize", TokenBody, self._authorize),
            "/v1/authorizations/{id}/captures": self._money("capture", CaptureBody, self._capture),
            "/v1/authorizations/{id}/voids": self._money("void", ReferenceBody, self._void),
            "/v1/refunds": self._money("refund", RefundBody, self._refund),
            "/v1/payouts": self._money("payout", TokenBody, self._pay_out),
            "/v1/payouts/{id}/cancellations": self._money(
                "cancel_payout", ReferenceBody, self._cancel
            ),
        }
        return [
            *(Route(path, handler, methods=["POST"]) for path, handler in money.items()),
            Route("/v1/lookup", self._guarded(self._lookup), methods=["GET"]),
            Route("/v1/objects/{id}", self._guarded(self._object), methods=["GET"]),
            Route("/v1/settlements/{date}", self._guarded(self._report), methods=["GET"]),
            Route("/3ds/{id}", self._page, methods=["GET"]),
            Route("/3ds/{id}", self._finish_action, methods=["POST"]),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            expected = f"Bearer {self._options.api_key}"
            if self._options.api_key and request.headers.get("authorization") != expected:
                return error_response(401, "unauthorized", "The API key is missing or wrong.")
            return await handler(request)

        return checked

    def _money(
        self, operation: str, model: type[_Body], work: Callable[[Request, Call, _Body], Made]
    ) -> Handler:
        async def handle(request: Request) -> Response:
            body = await read_body(request, model)
            if isinstance(body, Response):
                return body
            key = request.headers.get("idempotency-key", "")
            if not _KEY.fullmatch(key):
                return error_response(400, "idempotency_key_missing", "1 to 64 visible characters.")
            fault = self._faults.take(operation, body.reference)
            if key in self._keys_in_progress:
                return error_response(409, "idempotency_key_in_progress", "Still being answered.")
            self._keys_in_progress.add(key)
            try:
                fingerprint = hashlib.sha256(
                    f"{request.url.path} {body.model_dump_json()}".encode()
                ).hexdigest()
                call = Call(body.reference, key, fingerprint, fault)
                return await self._answer(request, call, lambda: work(request, call, body))
            finally:
                self._keys_in_progress.discard(key)

        return self._guarded(handle)

    async def _answer(self, request: Request, call: Call, make: Callable[[], Made]) -> Response:
        lost = False

        def answer() -> Response:
            nonlocal lost
            try:
                made = make()
            except Refusal as refusal:
                return error_response(refusal.status, refusal.code, refusal.message)
            self._courier.wake()
            lost = (
                made.fresh
                and made.row["token"] == LOST_ONCE_TOKEN
                and made.row["type"] == "authorization"
            )
            return self._shown(request, made.row, call.fault)

        response = await misbehaving(request, call.fault, self._options.hold_ms, answer)
        if lost:
            return await wire.never_answer(request, self._options.hold_ms / 1000)
        return response

    def _shown(self, request: Request, row: sqlite3.Row, fault: ArmedFault | None) -> Response:
        shown = self._rendered(request, row, fault)
        if shows_strange_status(fault):
            return JSONResponse(shown, 200)
        return JSONResponse(shown, _HTTP_STATUS.get(row["status"], 201))

    def _rendered(
        self, request: Request, row: sqlite3.Row, fault: ArmedFault | None
    ) -> dict[str, object]:
        shown = rendered(row, self._options, str(request.base_url))
        if shows_strange_status(fault):
            shown["status"] = STRANGE_STATUS
        return shown

    def _authorize(self, _request: Request, call: Call, body: TokenBody) -> Made:
        return self._processor.authorize(
            call, amount=body.amount, currency=body.currency, token=body.token
        )

    def _capture(self, request: Request, call: Call, body: CaptureBody) -> Made:
        return self._processor.capture(
            call,
            request.path_params["id"],
            amount=body.amount,
            currency=body.currency,
            final=body.final,
        )

    def _void(self, request: Request, call: Call, _body: ReferenceBody) -> Made:
        return self._processor.void(call, request.path_params["id"])

    def _refund(self, _request: Request, call: Call, body: RefundBody) -> Made:
        return self._processor.refund(call, body.target, amount=body.amount, currency=body.currency)

    def _pay_out(self, _request: Request, call: Call, body: TokenBody) -> Made:
        return self._processor.pay_out(
            call, amount=body.amount, currency=body.currency, token=body.token
        )

    def _cancel(self, request: Request, call: Call, _body: ReferenceBody) -> Made:
        return self._processor.cancel_payout(call, request.path_params["id"])

    async def _lookup(self, request: Request) -> Response:
        reference = request.query_params.get("reference", "")
        key = request.query_params.get("idempotency_key", "")
        fault = self._faults.take("lookup", reference)

        def answer() -> Response:
            found = self._processor.find(reference, key)
            return JSONResponse({"data": [self._read_view(request, row, fault) for row in found]})

        return await misbehaving(request, fault, self._options.hold_ms, answer)

    async def _object(self, request: Request) -> Response:
        row = self._processor.get(request.path_params["id"])
        fault = self._faults.take("lookup", None if row is None else row["reference"])

        def answer() -> Response:
            if row is None:
                return error_response(404, "not_found", "There is no such object.")
            return JSONResponse(self._read_view(request, row, fault))

        return await misbehaving(request, fault, self._options.hold_ms, answer)

    def _read_view(
        self, request: Request, row: sqlite3.Row, fault: ArmedFault | None
    ) -> dict[str, object]:
        shown = self._rendered(request, row, fault)
        if fault is not None and fault.fault is Fault.PENDING:
            # A stale replica: it has the object and not yet its end.
            shown["status"], shown["decline"] = Turn.PENDING, None
        return shown

    async def _report(self, request: Request) -> Response:
        fault = self._faults.take("report", None)

        def answer() -> Response:
            report = self._settlement.report(request.path_params["date"])
            if report is None:
                return error_response(404, "no_report", "No report was written for this date.")
            return Response(report, media_type="text/csv")

        return await misbehaving(request, fault, self._options.hold_ms, answer)

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(PAYER_PAGE)

    async def _finish_action(self, request: Request) -> Response:
        body = await read_body(request, ActionBody)
        if isinstance(body, Response):
            return body
        try:
            row = self._processor.finish_action(
                request.path_params["id"], succeeded=body.result == "succeed"
            )
        except Refusal as refusal:
            return error_response(refusal.status, refusal.code, refusal.message)
        self._courier.wake()
        return JSONResponse(rendered(row, self._options))
