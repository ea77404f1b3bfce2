"""Finding what a path names: by its row, or by its claim until its saga has run its first step.

What another merchant owns is not there for a caller who is bound to one.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from api.access import caller_of
from api.pages import json_response
from api.parts import parts_of
from api.problems import Problem
from api.unstarted import saga_of, unstarted_view
from recompense.domain.ids import IdPrefix, is_id
from recompense.persistence import reads
from recompense.persistence.claims import Claims
from recompense.persistence.reads import AnyView, Listed
from recompense.persistence.tables import Payment


async def show(
    request: Request,
    prefix: IdPrefix,
    resource_id: str,
    table: type[Listed],
    view: Callable[[Listed], BaseModel],
) -> Response:
    """Show a resource. Raises `Problem` 404."""
    row = await row_of(request, prefix, resource_id, table)
    if row is not None:
        return json_response(view(row))
    waiting = await _waiting(request, resource_id)
    if waiting is None:
        raise Problem("not_found")
    return json_response(waiting)


async def row_of(
    request: Request, prefix: IdPrefix, resource_id: str, table: type[Listed]
) -> Listed | None:
    """The row of a resource that the caller may see.

    None: there is no row. Raises `Problem` 404.
    """
    if not is_id(prefix, resource_id):
        raise Problem("not_found")
    async with parts_of(request).database.transaction() as session:
        row = await reads.find(session, table, resource_id)
    if row is not None and not caller_of(request).may_see(row.merchant_id):
        raise Problem("not_found")
    return row


async def payment_of(request: Request, payment_id: str, *, unstarted: str) -> Payment:
    """The payment that a request acts on.

    Raises `Problem` 404, or the conflict `unstarted` while the payment's own saga has not begun.
    """
    payment = await row_of(request, IdPrefix.PAYMENT, payment_id, Payment)
    if payment is not None:
        return payment
    if await _waiting(request, payment_id) is None:
        raise Problem("not_found")
    raise Problem(unstarted, "The payment is still processing.")


async def unstarted_resource(
    request: Request, prefix: IdPrefix, resource_id: str, table: type[Listed]
) -> AnyView | None:
    """A resource that has no row yet.

    None: it has one. Raises `Problem` 404 when it is not there.
    """
    if await row_of(request, prefix, resource_id, table) is not None:
        return None
    waiting = await _waiting(request, resource_id)
    if waiting is None:
        raise Problem("not_found")
    return waiting


async def _waiting(request: Request, resource_id: str) -> AnyView | None:
    parts = parts_of(request)
    claim = await Claims(parts.database).of_resource(resource_id)
    if claim is None or claim.saga_input is None:
        return None
    saga = saga_of(claim)
    if not caller_of(request).may_see(saga.merchant_id):
        return None
    async with parts.database.transaction() as session:
        return await unstarted_view(session, saga, claim.created_at)
