"""Statements to download: of a merchant's money in a closed period, and of a payout run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response, StreamingResponse

from api.access import allows
from api.openapi import downloads
from api.parts import parts_of
from api.payout_runs import visible_run
from api.problems import RETRY_SOON, Problem, invalid
from api.routes.merchants import visible_merchant
from recompense.contracts.scopes import Scope
from recompense.domain.money import Currency
from recompense.persistence.statements import BooksStillOpen, closed_period
from recompense.statements.merchant import merchant_statement
from recompense.statements.payout_run import payout_run_statement
from recompense.statements.rendering import MEDIA_TYPES, Format, Table, rendered

router = APIRouter(tags=["statements"])

_READERS = allows(Scope.PAYOUTS_READ, Scope.LEDGER_READ)
_HEADERS = {
    # Nothing of a statement may be run by the browser that shows it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)

From = Annotated[
    AwareDatetime,
    Query(alias="from", ge=_EARLIEST, description="The period's first moment; from 2000 on."),
]
To = Annotated[
    AwareDatetime | None,
    Query(
        alias="to",
        description="The moment after the period; absent: as far as the books are closed.",
    ),
]
InFormat = Annotated[
    Format, Query(alias="format", description="For spreadsheets, or for people and printers.")
]
InCurrency = Annotated[Currency | None, Query(description="Only this currency.")]


@router.get(
    "/v1/merchants/{merchant_id}/statement",
    dependencies=[_READERS],
    **downloads(MEDIA_TYPES, "Download a merchant's statement"),
)
async def read_statement(
    request: Request,
    merchant_id: str,
    since: From,
    until: To = None,
    currency: InCurrency = None,
    form: InFormat = "csv",
) -> Response:
    """Opening balance, every movement and closing balance, for each currency.

    The period is closed: nothing of it changes any more, and the next one begins where it ends. A
    file without its closing balance was broken off, and is not whole.
    """
    merchant = await visible_merchant(request, merchant_id)
    if until is not None and until <= since:
        raise invalid("to", "not_after_from", "has to be after `from`")
    database = parts_of(request).database
    try:
        period = await closed_period(database, since, until)
    except BooksStillOpen as error:
        is_over = until is None or until <= datetime.now(UTC)
        raise _still_open(error.closed_until, is_over=is_over) from None
    table = await merchant_statement(database, merchant.id, period, currency)
    return download(table, form, f"statement-{merchant.id}-{period.since:%Y%m%dT%H%M%S}")


@router.get(
    "/v1/payout-runs/{run_id}/statement",
    dependencies=[_READERS],
    **downloads(MEDIA_TYPES, "Download a payout run's statement"),
)
async def read_run_statement(request: Request, run_id: str, form: InFormat = "csv") -> Response:
    """Every item of the run with what became of it by now, and the sums for each currency."""
    run = await visible_run(request, run_id)
    table = payout_run_statement(parts_of(request).database, run)
    return download(table, form, f"payout-run-{run.id}")


def download(table: Table, form: Format, name: str) -> Response:
    """Answer a table as it is made, row by row."""
    kind = "attachment" if form == "csv" else "inline"
    headers = {**_HEADERS, "Content-Disposition": f'{kind}; filename="{name}.{form}"'}
    return StreamingResponse(rendered(table, form), headers=headers, media_type=MEDIA_TYPES[form])


def _still_open(closed_until: datetime | None, *, is_over: bool) -> Problem:
    """The refusal; of a time that is over the books close by themselves, within seconds."""
    members: dict[str, Any] = {}
    if closed_until is not None:
        members["closed_until"] = closed_until.isoformat().replace("+00:00", "Z")
    detail = "Ask again." if is_over else "End the period earlier, or leave out `to`."
    headers = RETRY_SOON if is_over else None
    return Problem("books_still_open", detail, headers=headers, members=members)
