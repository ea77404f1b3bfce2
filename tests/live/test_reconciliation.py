"""A report is fetched, loaded, compared and settled; each planted break is found and repaired."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recompense.contracts.reconciliation import ReconciliationView
from recompense.desk import reconciliations
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import ledger
from recompense.persistence.ledger import merchant_balances
from recompense.persistence.settlement_tables import Reconciliation
from recompense.persistence.settlement_views import reconciliation_view
from tests.support.books import assert_books_agree
from tests.support.platform import MERCHANT, Platform
from tests.support.scenes import captured

TODAY = datetime.now(UTC).date().isoformat()
TOMORROW = "2099-01-01"


def settle(platform: Platform, day: str = TODAY, corrupt: str | None = None) -> None:
    body = {"date": day} | ({"corrupt": corrupt} if corrupt else {})
    platform.sandbox.http.post("/_control/settle", json=body).raise_for_status()


async def reconcile(platform: Platform, day: str = TODAY) -> ReconciliationView:
    given = await reconciliations.begin(
        platform.database,
        new_id(IdPrefix.RECONCILIATION),
        provider="sandbox",
        report_date=datetime.fromisoformat(day).date(),
        requested_by="finance",
    )
    await reconciliations.start(platform.client, given)
    await platform.client.get_workflow_handle(given.workflow_id).result()
    async with platform.database.transaction() as session:
        row = await session.get(Reconciliation, given.reconciliation_id)
        assert row is not None
        return reconciliation_view(row)


async def breaks(platform: Platform) -> list[Any]:
    return await platform.rows("SELECT * FROM breaks ORDER BY created_at")


async def balance(platform: Platform, account: str) -> int:
    async with platform.database.transaction() as session:
        return sum(one.balance for one in await ledger.balances(session, account))


async def test_settled_captures_reach_the_bank_and_become_available(platform: Platform) -> None:
    await platform.rows_changed("UPDATE merchants SET availability_rule = 'on_settlement'")
    await captured(platform)
    settle(platform)
    first = await reconcile(platform)
    assert (first.status, first.lines, first.matched, first.breaks) == ("clean", 2, 2, 0)
    assert await balance(platform, "provider:sandbox:clearing") == 0
    assert await balance(platform, "bank:main:cash") == 9_900
    assert await balance(platform, "provider:sandbox:fees") == 100
    async with platform.database.transaction() as session:
        (euro,) = await merchant_balances(session, MERCHANT)
    assert (euro.pending, euro.available) == (0, 10_000)
    again = await reconcile(platform)
    assert (again.status, again.matched, again.breaks) == ("clean", 2, 0)
    assert await balance(platform, "bank:main:cash") == 9_900
    await assert_books_agree(platform)


@pytest.mark.parametrize(
    ("corrupt", "kind"),
    [
        ("missing", "missing_at_provider"),
        ("extra", "missing_here"),
        ("amount", "amount_mismatch"),
        ("fee", "fee_mismatch"),
        ("duplicate", "duplicate"),
    ],
)
async def test_planted_break_is_found_once_and_closed_by_a_right_report(
    platform: Platform, corrupt: str, kind: str
) -> None:
    await captured(platform)
    settle(platform, corrupt=corrupt)
    found = await reconcile(platform)
    assert (found.status, found.breaks) == ("breaks", 1)
    assert [one["kind"] for one in await breaks(platform)] == [kind]
    again = await reconcile(platform)
    assert (again.status, again.breaks) == ("breaks", 1)
    assert len(await breaks(platform)) == 1
    settle(platform)
    right = await reconcile(platform)
    assert (right.status, right.breaks) == ("clean", 0)
    (closed,) = await breaks(platform)
    assert (closed["status"], closed["resolution"]["action"]) == ("resolved", "matched")
    assert await balance(platform, "provider:sandbox:clearing") == 0
    await assert_books_agree(platform)


async def test_late_line_closes_its_break(platform: Platform) -> None:
    await captured(platform)
    settle(platform, corrupt="missing")
    assert (await reconcile(platform)).status == "breaks"
    settle(platform, TOMORROW)
    late = await reconcile(platform, TOMORROW)
    assert (late.status, late.lines, late.matched) == ("clean", 1, 1)
    (closed,) = await breaks(platform)
    assert closed["resolution"]["action"] == "matched"
    assert await balance(platform, "bank:main:cash") == 9_900
    await assert_books_agree(platform)
