"""Merchants with money that is due, for payout runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recompense.domain.ids import IdPrefix, new_id
from recompense.ledger.accounts import merchant_available, provider_clearing
from recompense.ledger.postings import Phase, Posting, Transfer, posting_key
from recompense.persistence import ledger
from recompense.persistence.database import Database
from recompense.persistence.tables import Merchant


async def merchant_with(
    database: Database,
    balances: Mapping[str, int],
    *,
    schedule: str,
    token: str | None = "tok_ok",  # noqa: S107 - a provider's token of a bank account
    country: str = "DE",
    **terms: Any,
) -> str:
    """Make a merchant of this schedule whose available balances are these. Returns its id."""
    merchant_id = new_id(IdPrefix.MERCHANT)
    payout: dict[str, Any] = {"schedule": schedule, **terms}
    if token is not None:
        payout["destination"] = {"type": "bank_token", "token": token}
    async with database.transaction() as session:
        session.add(
            Merchant(
                id=merchant_id, name="Shop", country=country, payout=payout, created_by="tests"
            )
        )
        await session.flush()
        for currency, amount in balances.items():
            await ledger.post(session, seed(merchant_id, currency, amount))
    return merchant_id


def seed(merchant_id: str, currency: str, amount: int, number: int = 1) -> Posting:
    """Money that became available, from nowhere in particular; below zero it is taken."""
    accounts = (provider_clearing("sandbox"), merchant_available(merchant_id))
    debit, credit = accounts if amount > 0 else accounts[::-1]
    transfer = Transfer(debit, credit, abs(amount), currency, Phase.POSTED)
    return Posting(posting_key(merchant_id, f"seed.{currency.lower()}", number), (transfer,))
