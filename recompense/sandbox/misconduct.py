"""How the scripted faults show on the wire, the same on every operation."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recompense.sandbox import wire
from recompense.sandbox.control import error_response
from recompense.sandbox.faults import ArmedFault, Fault

STRANGE_STATUS = "under_review_by_partner"
"""A status that the vendor's documents do not list."""

_SLOW_MS = 1_000


async def misbehaving(
    request: Request, fault: ArmedFault | None, hold_ms: int, answer: Callable[[], Response]
) -> Response:
    """Answer as the fault demands.

    `answer` makes the effect; a fault that strikes "before" never calls it.
    """
    if fault is None:
        return answer()
    hold_seconds = (hold_ms if fault.delay_ms is None else fault.delay_ms) / 1000
    match fault.fault:
        case Fault.TIMEOUT_BEFORE:
            return await wire.never_answer(request, hold_seconds)
        case Fault.RESET_BEFORE:
            return await wire.never_answer(request, 0)
        case Fault.ERROR_BEFORE:
            return error_response(500, "internal_error", "Something broke.")
        case Fault.UNAVAILABLE:
            return _come_back(503, "unavailable", fault)
        case Fault.RATE_LIMITED:
            return _come_back(429, "rate_limited", fault)
    return await _after(request, fault, hold_seconds, answer())


async def _after(
    request: Request, fault: ArmedFault, hold_seconds: float, answer: Response
) -> Response:
    match fault.fault:
        case Fault.TIMEOUT_AFTER:
            return await wire.never_answer(request, hold_seconds)
        case Fault.RESET_AFTER:
            return await wire.never_answer(request, 0)
        case Fault.ERROR_AFTER:
            return error_response(500, "internal_error", "Something broke.")
        case Fault.MALFORMED:
            half = bytes(answer.body)[: len(answer.body) // 2]
            return Response(half, answer.status_code, media_type="application/json")
        case Fault.SLOW:
            delay_ms = _SLOW_MS if fault.delay_ms is None else fault.delay_ms
            await asyncio.sleep(delay_ms / 1000)
    return answer


def _come_back(status: int, code: str, fault: ArmedFault) -> Response:
    seconds = 1 if fault.delay_ms is None else math.ceil(fault.delay_ms / 1000)
    return JSONResponse(
        {"error": {"code": code, "message": "Nothing was done. Come back later."}},
        status,
        headers={"retry-after": str(seconds)},
    )


def shows_strange_status(fault: ArmedFault | None) -> bool:
    """Whether the object must be shown with a status that no client knows."""
    return fault is not None and fault.fault is Fault.UNKNOWN_STATUS
