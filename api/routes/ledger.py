"""The books: balances, entries, and the trial balance, now or at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel
from starlette.responses import Response

from api.access import allows, caller_of
from api.openapi import reads
from api.pages import Page, PageOf, cursor_of, json_response
from api.parts import parts_of
from api.problems import Problem, invalid
from recompense.contracts.scopes import Scope
from recompense.ledger.accounts import account as read_account
from recompense.ledger.results import AccountBalance, CurrencyTotals, LedgerEntry
from recompense.persistence import ledger

router = APIRouter(tags=["ledger"])

_READERS = allows(Scope.LEDGER_READ)
At = Annotated[AwareDatetime | None, Query(description="A past time; absent: now.")]
InCurrency = Annotated[str | None, Query(pattern=r"^[A-Z]{3}$", description="Only this currency.")]


class AccountBalances(BaseModel):
    """An account's balances, one for each currency."""

    data: list[AccountBalance]


class TrialBalanceView(BaseModel):
    """All accounts together, for each currency: debits equal credits, posted and pending apart."""

    data: list[CurrencyTotals]
    at: datetime


@router.get(
    "/v1/ledger/accounts/{account}",
    dependencies=[_READERS],
    **reads(AccountBalances, "Read an account's balance"),
)
async def read_balance(
    request: Request, account: str, at: At = None, currency: InCurrency = None
) -> Response:
    """The balance on the account's normal side, now or at a time."""
    _require_account(request, account)
    async with parts_of(request).database.transaction() as session:
        found = await ledger.balances(session, account, at, currency)
    return json_response(AccountBalances(data=found))


@router.get(
    "/v1/ledger/accounts/{account}/entries",
    dependencies=[_READERS],
    **reads(Page[LedgerEntry], "List an account's entries"),
)
async def list_entries(request: Request, account: str, query: PageOf) -> Response:
    """The newest entries first."""
    _require_account(request, account)
    async with parts_of(request).database.transaction() as session:
        try:
            found = await ledger.entries(session, account, query.after, query.limit)
        except ValueError:
            raise invalid("cursor", "invalid_cursor", "was not given out by this list") from None
    more = cursor_of(found.next_cursor) if found.next_cursor else None
    return json_response(Page[LedgerEntry](data=found.data, next_cursor=more))


@router.get(
    "/v1/ledger/trial-balance",
    dependencies=[_READERS],
    **reads(TrialBalanceView, "Read the trial balance"),
)
async def read_trial_balance(request: Request, at: At = None) -> Response:
    """The whole ledger, now or at a time. It is nobody's who is bound to one merchant."""
    if caller_of(request).merchant_id is not None:
        raise Problem("not_found")
    async with parts_of(request).database.transaction() as session:
        found = await ledger.trial_balance(session, at)
    return json_response(TrialBalanceView(data=found.data, at=found.at))


def _require_account(request: Request, name: str) -> None:
    """Make sure that the chart has the account and the caller may see it. Raises `Problem` 404."""
    merchant_id = caller_of(request).merchant_id
    hidden = merchant_id is not None and not name.startswith(f"merchant:{merchant_id}:")
    try:
        read_account(name)
    except ValueError:
        hidden = True
    if hidden:
        raise Problem("not_found", "The chart has no such account.")
