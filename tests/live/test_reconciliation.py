"""A report is fetched, loaded, compared and settled; each planted break is found and repaired."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from recompense.contracts.reconciliation import (
    SANDBOX_TERMS,
    ReconciliationView,
    SettlementTerms,
)
from recompense.desk import reconciliations
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence import ledger
from recompense.persistence.ledger import merchant_balances
from recompense.persistence.settlement_tables import Reconciliation
from recompense.persistence.settlement_views import reconciliation_view
from tests.support.books import assert_books_agree
from tests.support.platform import MERCHANT, Platform
from tests.support.scenes import captured


@pytest.fixture
def day() -> date:
    """A date of this test's own: all tests of a session share one Temporal."""
    return date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)


def settle(platform: Platform, day: date, corrupt: str | None = None) -> None:
    body = {"date": day.isoformat()} | ({"corrupt": corrupt} if corrupt else {})
    platform.sandbox.http.post("/_control/settle", json=body).raise_for_status()


async def reconcile(platform: Platform, day: date) -> ReconciliationView:
    given = await reconciliations.begin(
        platform.database,
        new_id(IdPrefix.RECONCILIATION),
        provider="sandbox",
        report_date=day,
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


async def test_settled_captures_reach_the_bank_and_become_available(
    platform: Platform, day: date
) -> None:
    await platform.rows_changed("UPDATE merchants SET availability_rule = 'on_settlement'")
    await captured(platform)
    settle(platform, day)
    first = await reconcile(platform, day)
    assert (first.status, first.lines, first.matched, first.breaks) == ("clean", 2, 2, 0)
    assert await balance(platform, "provider:sandbox:clearing") == 0
    assert await balance(platform, "bank:main:cash") == 9_900
    assert await balance(platform, "provider:sandbox:fees") == 100
    async with platform.database.transaction() as session:
        (euro,) = await merchant_balances(session, MERCHANT)
    assert (euro.pending, euro.available) == (0, 10_000)
    again = await reconcile(platform, day)
    assert (again.status, again.matched, again.breaks) == ("clean", 2, 0)
    assert await balance(platform, "bank:main:cash") == 9_900
    await assert_books_agree(platform)


@pytest.mark.parametrize(
    ("corrupt", "kind"),
    [
        ("missing", "missing_at_provider"),
        ("extra", "missing_here"),
        ("amount", "amount_mismatch"),
        ("currency", "currency_mismatch"),
        ("fee", "fee_mismatch"),
        ("duplicate", "duplicate"),
    ],
)
async def test_planted_break_is_found_once_and_closed_by_a_right_report(
    platform: Platform, day: date, corrupt: str, kind: str
) -> None:
    await captured(platform)
    settle(platform, day, corrupt=corrupt)
    found = await reconcile(platform, day)
    assert (found.status, found.breaks) == ("breaks", 1)
    assert [one["kind"] for one in await breaks(platform)] == [kind]
    again = await reconcile(platform, day)
    assert (again.status, again.breaks) == ("breaks", 1)
    assert len(await breaks(platform)) == 1
    settle(platform, day)
    right = await reconcile(platform, day)
    assert (right.status, right.breaks) == ("clean", 0)
    (closed,) = await breaks(platform)
    assert (closed["status"], closed["resolution"]["action"]) == ("resolved", "matched")
    assert await balance(platform, "provider:sandbox:clearing") == 0
    await assert_books_agree(platform)


async def test_late_line_closes_its_break(platform: Platform, day: date) -> None:
    await captured(platform)
    settle(platform, day, corrupt="missing")
    assert (await reconcile(platform, day)).status == "breaks"
    tomorrow = day + timedelta(days=1)
    settle(platform, tomorrow)
    late = await reconcile(platform, tomorrow)
    assert (late.status, late.lines, late.matched) == ("clean", 1, 1)
    (closed,) = await breaks(platform)
    assert closed["resolution"]["action"] == "matched"
    assert await balance(platform, "bank:main:cash") == 9_900
    await assert_books_agree(platform)


async def test_report_that_does_not_come_ends_as_failed_with_its_reason(
    platform: Platform, day: date
) -> None:
    hasty = SANDBOX_TERMS.model_copy(
        update={"report_retry_seconds": 0.2, "report_deadline_seconds": 0.5}
    )
    assert platform.tools.settlement is not None
    cast("dict[str, SettlementTerms]", platform.tools.settlement.terms)["sandbox"] = hasty
    failed = await reconcile(platform, day)
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.code == "report_not_there"


@pytest.mark.parametrize(
    ("corrupt", "code"),
    [
        ("truncated", "report_truncated"),
        ("other_date", "report_other_date"),
        ("swollen", "report_implausible"),
    ],
)
async def test_file_that_cannot_be_believed_books_nothing_until_the_right_one_comes(
    platform: Platform, day: date, corrupt: str, code: str
) -> None:
    await captured(platform)
    booked = await platform.rows("SELECT * FROM ledger_postings")
    settle(platform, day, corrupt=corrupt)
    failed = await reconcile(platform, day)
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.code == code
    assert await platform.rows("SELECT * FROM ledger_postings") == booked
    assert await platform.rows("SELECT * FROM settlement_lines") == []
    assert await platform.rows("SELECT * FROM settlement_matches") == []
    assert await breaks(platform) == []
    settle(platform, day)
    assert (await reconcile(platform, day)).status == "clean"
    assert await balance(platform, "bank:main:cash") == 9_900
    await assert_books_agree(platform)
