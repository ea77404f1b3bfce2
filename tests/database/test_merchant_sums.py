"""Random legal lives through the real activities: whatever order captures, refunds, sweeps,
payouts, returns and settlements come in, what a merchant's accounts hold is what the rows say is
its own.
"""

from __future__ import annotations

import pytest
from sqlalchemy import text

from recompense.persistence import ledger
from tests.support.commit_proxy import commit_proxy
from tests.support.merchant_life import TERMS, Life, merchant_with
from tests.support.stage import Stage, assert_in_order, staged
from tests.support.step_stories import MERCHANT

STEPS = 120
OWN = """
SELECT currency, CAST(sum(amount) AS bigint) AS own FROM (
    SELECT currency, amount_captured - amount_fees + amount_fees_returned - amount_refunded
    FROM payments
    UNION ALL
    SELECT currency, CASE WHEN status = 'paid' THEN -amount ELSE -return_fee END
    FROM payouts WHERE status IN ('paid', 'returned')
) AS moved (currency, amount) GROUP BY currency HAVING sum(amount) <> 0 ORDER BY currency
"""
KEPT = """
SELECT currency, CAST(sum(amount) AS bigint) AS kept FROM reserve_tranches
WHERE released_at IS NULL GROUP BY currency ORDER BY currency
"""


@pytest.mark.parametrize("terms", range(len(TERMS)))
async def test_merchant_holds_what_is_its_own_after_any_life(database_url: str, terms: int) -> None:
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await merchant_with(stage, terms)
        life = Life(stage, seed=terms)
        for number in range(1, STEPS + 1):
            await life.step()
            if number % 20 == 0:
                await assert_sums(stage)
        assert life.done >= {"capture", "refund", "payout", "return"}
        await assert_in_order(stage.database)


async def assert_sums(stage: Stage) -> None:
    """Assert that the ledger's accounts of the merchant hold what the rows say."""
    async with stage.database.engine.connect() as connection:
        own = {row.currency: row.own for row in await connection.execute(text(OWN))}
        kept = {row.currency: row.kept for row in await connection.execute(text(KEPT))}
        held: dict[str, dict[str, int]] = {}
        for kind in ("pending", "available", "reserve"):
            for one in await ledger.balances(connection, f"merchant:{MERCHANT}:{kind}"):
                held.setdefault(one.currency, {})[kind] = one.balance
    assert {name: total for name, one in held.items() if (total := sum(one.values()))} == own
    assert {name: one["reserve"] for name, one in held.items() if one.get("reserve")} == kept
