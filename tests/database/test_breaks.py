"""Each action that fits a break repairs it once, with its posting, its audit and its event."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from recompense.contracts.reconciliation import BreakAction, BreakKind
from recompense.domain.failures import Refused
from recompense.persistence import breaks
from recompense.persistence.breaks import FITTING, Resolved, Resolving
from recompense.persistence.database import Database
from tests.support.commit_proxy import Fault, commit_proxy
from tests.support.settling import DAY, Counter, effect_line
from tests.support.stage import assert_in_order

NEXT_DAY = DAY + timedelta(days=1)
CLEARING, BANK = "provider:sandbox:clearing", "bank:main:cash"
FEES, SUSPENSE, LOSSES = "provider:sandbox:fees", "suspense:sandbox", "platform:losses"

PLANTED: dict[BreakKind, list[dict[str, Any]]] = {
    BreakKind.MISSING_AT_PROVIDER: [],
    BreakKind.MISSING_HERE: [effect_line(1), effect_line(9, amount=500)],
    BreakKind.AMOUNT_MISMATCH: [effect_line(1, amount=900)],
    BreakKind.CURRENCY_MISMATCH: [effect_line(1, currency="USD")],
    BreakKind.FEE_MISMATCH: [effect_line(1, fee=25)],
    BreakKind.DUPLICATE: [effect_line(1), effect_line(1)],
}

# Per action: bank, fees, suspense, losses, and what stays in clearing of 1,000 that are captured.
BOOKED: dict[tuple[str, str], tuple[int, int, int, int, int]] = {
    ("missing_at_provider", "accept"): (0, 0, 0, 0, 1_000),
    ("missing_at_provider", "post"): (0, 0, 1_000, 0, 0),
    ("missing_at_provider", "write_off"): (0, 0, 0, 1_000, 0),
    ("missing_here", "accept"): (990, 10, 0, 0, 0),
    ("missing_here", "post"): (1_485, 15, -500, 0, 0),
    ("missing_here", "write_off"): (1_485, 15, 0, -500, 0),
    ("amount_mismatch", "accept"): (891, 9, 0, 0, 100),
    ("amount_mismatch", "post"): (891, 9, 100, 0, 0),
    ("amount_mismatch", "write_off"): (891, 9, 0, 100, 0),
    ("currency_mismatch", "accept"): (0, 0, 0, 0, 1_000),
    ("currency_mismatch", "post"): (0, 0, 1_000, 0, 0),
    ("fee_mismatch", "accept"): (975, 25, 0, 0, 0),
    ("fee_mismatch", "post"): (975, 10, 15, 0, 0),
    ("fee_mismatch", "write_off"): (975, 10, 0, 15, 0),
    ("duplicate", "accept"): (990, 10, 0, 0, 0),
    ("duplicate", "reverse"): (1_980, 20, -1_000, 0, 0),
    ("duplicate", "write_off"): (1_980, 20, 0, -1_000, 0),
}


@pytest.fixture
async def counter(database_url: str) -> AsyncIterator[Counter]:
    database = Database(database_url, statement_timeout_seconds=10)
    yield Counter(database_url, database)
    await assert_in_order(database)
    await database.close()


def asked(action: str, actor: str = "finance", above: int = 10_000) -> Resolving:
    return Resolving(BreakAction(action), actor, "because", "main", above)


async def resolve(counter: Counter, action: str, **given: Any) -> Resolved:
    (row,) = [one for one in counter.breaks() if one["status"] == "open"]
    async with counter.database.transaction() as session:
        resolved = await breaks.resolve(session, row["id"], asked(action, **given))
    assert resolved is not None
    return resolved


async def balances(counter: Counter) -> tuple[int, ...]:
    accounts = (BANK, FEES, SUSPENSE, LOSSES, CLEARING)
    return tuple([await counter.balance(account) for account in accounts])


@pytest.mark.parametrize(("kind", "action"), BOOKED)
async def test_action_that_fits_books_what_it_says_once(
    counter: Counter, kind: str, action: str
) -> None:
    counter.captured(1)
    await counter.compare(PLANTED[BreakKind(kind)])
    resolved = await resolve(counter, action)
    assert await balances(counter) == BOOKED[kind, action]
    assert resolved.row.resolution is not None
    assert resolved.row.resolution["actor"] == "finance"
    with pytest.raises(Refused, match="resolved already"):
        async with counter.database.transaction() as session:
            await breaks.resolve(session, resolved.row.id, asked(action))
    again = await counter.compare(PLANTED[BreakKind(kind)])
    assert again.opened == 0
    assert await balances(counter) == BOOKED[kind, action]
    (audited,) = counter.rows("SELECT * FROM audit_log WHERE target LIKE 'break/%'")
    assert (audited["actor"], audited["reason"]) == ("finance", "because")
    assert counter.rows("SELECT type FROM events ORDER BY seq")[-1]["type"] == "break.resolved"


UNFIT = [
    (kind, action) for kind in PLANTED for action in BreakAction if action not in FITTING[kind]
]


@pytest.mark.parametrize(("kind", "action"), UNFIT)
async def test_action_that_does_not_fit_is_refused_and_changes_nothing(
    counter: Counter, kind: BreakKind, action: BreakAction
) -> None:
    counter.captured(1)
    await counter.compare(PLANTED[kind])
    before = await balances(counter)
    with pytest.raises(Refused) as refused:
        await resolve(counter, action)
    assert refused.value.code == "break_action_unfit"
    assert await balances(counter) == before
    assert counter.breaks()[0]["status"] == "open"


async def test_large_write_off_needs_a_second_person(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    first = await resolve(counter, "write_off", above=999)
    assert (first.row.status, await counter.balance(LOSSES)) == ("open", 0)
    with pytest.raises(Refused) as refused:
        await resolve(counter, "write_off", above=999)
    assert refused.value.code == "four_eyes"
    second = await resolve(counter, "write_off", actor="chief", above=999)
    assert second.row.resolution is not None
    people = (second.row.resolution["actor"], second.row.resolution["approved_by"])
    assert people == ("finance", "chief")
    assert await counter.balance(LOSSES) == 1_000


@pytest.mark.parametrize("action", ["post", "write_off"])
async def test_money_that_comes_after_it_was_given_up_is_late(
    counter: Counter, action: str
) -> None:
    counter.captured(1)
    await counter.compare([])
    await resolve(counter, action)
    assert (await counter.compare([effect_line(1)], NEXT_DAY)).opened == 1
    late = counter.breaks()[-1]
    assert (late["kind"], late["proposal"]) == ("late", action)
    await resolve(counter, action)
    assert await balances(counter) == (990, 10, 0, 0, 0)


async def test_break_that_was_accepted_is_settled_when_its_line_comes(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    await resolve(counter, "accept")
    assert (await counter.compare([effect_line(1)], NEXT_DAY)).opened == 0
    assert await balances(counter) == (990, 10, 0, 0, 0)


@pytest.mark.parametrize("action", ["post", "write_off"])
async def test_repair_of_a_replaced_report_books_the_rest_only(
    counter: Counter, action: str
) -> None:
    counter.captured(1)
    await counter.compare([effect_line(1)])
    assert (await counter.compare([effect_line(1, amount=900)])).opened == 1
    await resolve(counter, action)
    left = (100, 0) if action == "post" else (0, 100)
    assert await balances(counter) == (891, 9, *left, 0)


async def test_another_state_is_looked_up_at_the_provider(counter: Counter) -> None:
    key = counter.effect(1, outcome=None)
    await counter.compare([effect_line(1)])
    resolved = await resolve(counter, "post")
    assert resolved.look_up is not None
    (event,) = counter.rows("SELECT * FROM provider_events")
    assert (event["event_id"], event["effect_key"]) == (resolved.look_up.event_id, key)
    counter.learns(key)
    await counter.compare([], NEXT_DAY)
    assert await counter.balance(BANK) == 990


async def test_information_moves_no_money(counter: Counter) -> None:
    counter.effect(1, "authorize")
    line = effect_line(1, "authorize", amount=1_001, net=0)
    assert (await counter.compare([line])).opened == 1
    await resolve(counter, "write_off")
    assert counter.rows("SELECT * FROM ledger_postings") == []


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_repair_whose_commit_is_cut_is_made_once(counter: Counter, fault: Fault) -> None:
    counter.captured(1)
    await counter.compare([])
    [row] = counter.breaks()
    async with commit_proxy(counter.url) as proxy:
        broken = Database(proxy.url)
        proxy.break_commit(fault, 1)
        for attempt in range(2):
            try:
                async with broken.transaction() as session:
                    await breaks.resolve(session, row["id"], asked("write_off"))
            except Refused as refused:
                assert refused.code == "break_not_open"  # noqa: PT017 - one of two ways to end
                assert (attempt, fault) == (1, Fault.CUT_AFTER)
            except Exception:
                assert attempt == 0
        assert proxy.fired
        await broken.close()
    assert await balances(counter) == (0, 0, 0, 1_000, 0)
    assert len(counter.rows("SELECT * FROM audit_log WHERE target LIKE 'break/%'")) == 1
