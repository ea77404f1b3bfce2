"""Each kind of break is found once, what agrees is settled once, whatever comes in which order."""

from __future__ import annotations

import resource
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from adapters.sandbox.report import read_report
from recompense.contracts.reconciliation import ReconcileInput
from recompense.contracts.settlement import SettlementKind, SettlementLine
from recompense.persistence import reconciling
from recompense.persistence.database import Database
from tests.support.census import SOAK
from tests.support.commit_proxy import Fault, commit_proxy
from tests.support.settling import DAY, NOON, Counter, effect_line, report_of

NEXT_DAY = DAY + timedelta(days=1)


async def test_lines_that_agree_are_settled_once(counter: Counter) -> None:
    counter.effect(1, amount=1_000)
    counter.effect(2, "refund", amount=300)
    lines = [effect_line(1), effect_line(2, "refund", amount=300)]
    first = await counter.compare(lines)
    assert (first.lines, first.matched, first.opened) == (2, 2, 0)
    assert [one["rule"] for one in counter.rows("SELECT rule FROM settlement_matches")] == [
        "effect_key"
    ] * 2
    assert await counter.balance("bank:main:cash") == 690
    assert await counter.balance("provider:sandbox:fees") == 10
    assert await counter.balance("provider:sandbox:clearing") == -700
    again = await counter.compare(lines)
    assert (again.matched, again.opened, again.closed) == (2, 0, 0)
    assert len(counter.rows("SELECT * FROM ledger_postings")) == 1


PLANTED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "missing_at_provider": ([effect_line(2)], "accept"),
    "missing_here": ([effect_line(1), effect_line(2), effect_line(9)], "post"),
    "amount_mismatch": ([effect_line(1, amount=1_001), effect_line(2)], "post"),
    "currency_mismatch": ([effect_line(1, currency="USD"), effect_line(2)], "post"),
    "fee_mismatch": ([effect_line(1, fee=11), effect_line(2)], "accept"),
    "duplicate": ([effect_line(1), effect_line(2), effect_line(1)], "reverse"),
}


@pytest.mark.parametrize("kind", PLANTED)
async def test_planted_break_is_found_once_and_closed_by_a_right_report(
    counter: Counter, kind: str
) -> None:
    lines, proposal = PLANTED[kind]
    counter.effect(1)
    counter.effect(2)
    found = await counter.compare(lines)
    assert found.opened == 1
    (one,) = counter.breaks()
    assert (one["kind"], one["status"], one["proposal"]) == (kind, "open", proposal)
    assert (one["expected"] is None) == (kind == "missing_here")
    assert (one["found"] is None) == (kind == "missing_at_provider")
    again = await counter.compare(lines)
    assert (again.opened, len(counter.breaks())) == (0, 1)
    right = await counter.compare([effect_line(1), effect_line(2)])
    assert (right.matched, right.opened, right.closed) == (2, 0, 1)
    assert counter.breaks()[0]["status"] == "resolved"
    assert await counter.balance("bank:main:cash") == 1_980
    # And it is found anew, when the provider says so again.
    assert (await counter.compare(lines, written_at=NOON + timedelta(hours=1))).opened == 1
    assert [event["type"] for event in counter.rows("SELECT type FROM events ORDER BY seq")] == [
        "break.opened",
        "break.resolved",
        "break.opened",
    ]


@pytest.mark.parametrize("outcome", [None, "declined", "absent", "unknown"])
async def test_effect_that_we_do_not_know_of_is_another_state_until_we_learn_of_it(
    counter: Counter, outcome: str | None
) -> None:
    key = counter.effect(1, outcome=outcome)
    found = await counter.compare([effect_line(1)])
    assert (found.matched, found.opened) == (0, 1)
    assert counter.breaks()[0]["kind"] == "state_mismatch"
    counter.learns(key)
    later = await counter.compare([], NEXT_DAY)
    assert (later.opened, later.closed) == (0, 1)
    assert await counter.balance("bank:main:cash") == 990


async def test_line_of_an_effect_that_we_recorded_later_is_settled_with_the_next_report(
    counter: Counter,
) -> None:
    await counter.compare([effect_line(1)])
    assert counter.breaks()[0]["kind"] == "missing_here"
    counter.effect(1)
    assert (await counter.compare([], NEXT_DAY)).closed == 1
    assert await counter.balance("bank:main:cash") == 990


async def test_late_line_closes_the_break_that_missed_it(counter: Counter) -> None:
    counter.effect(1)
    assert (await counter.compare([])).opened == 1
    late = await counter.compare([effect_line(1)], NEXT_DAY)
    assert (late.matched, late.opened, late.closed) == (1, 0, 1)
    assert await counter.balance("bank:main:cash") == 990


async def test_line_long_after_its_effect_is_settled_and_told_of_as_late(counter: Counter) -> None:
    counter.effect(1, recorded_at=NOON - timedelta(days=8))
    found = await counter.compare([effect_line(1)])
    assert (found.matched, found.opened) == (1, 1)
    assert [one["kind"] for one in counter.breaks()] == ["late"]
    assert await counter.balance("bank:main:cash") == 990


async def test_line_of_another_dates_report_comes_twice(counter: Counter) -> None:
    counter.effect(1)
    await counter.compare([effect_line(1)])
    assert (await counter.compare([effect_line(1)], NEXT_DAY)).opened == 1
    (one,) = counter.breaks()
    assert (one["kind"], one["report_date"]) == ("duplicate", NEXT_DAY)
    assert one["expected"]["report_date"] == DAY.isoformat()


async def test_effect_after_the_report_was_written_is_not_expected_in_it(counter: Counter) -> None:
    counter.effect(1, recorded_at=NOON + timedelta(seconds=1))
    counter.effect(2)
    assert (await counter.compare([effect_line(2)])).opened == 0


async def test_line_that_a_replaced_report_does_not_hold_any_more_is_missed(
    counter: Counter,
) -> None:
    counter.effect(1)
    counter.effect(2)
    await counter.compare([effect_line(1), effect_line(2)])
    assert (await counter.compare([effect_line(2)])).opened == 1
    assert counter.breaks()[0]["kind"] == "missing_at_provider"


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ({"effect_key": "x:y:1"}, "provider_reference_and_amount"),
        ({"effect_key": "x:y:1", "object_id": "other"}, "operation_and_amount"),
    ],
)
async def test_line_without_our_key_is_matched_by_what_leaves_no_choice(
    counter: Counter, names: dict[str, Any], rule: str
) -> None:
    counter.effect(1)
    assert (await counter.compare([effect_line(1, **names)])).matched == 1
    assert counter.rows("SELECT rule FROM settlement_matches")[0]["rule"] == rule


async def test_line_is_never_matched_where_there_is_a_choice(counter: Counter) -> None:
    counter.effect(1)
    lines = [effect_line(1, effect_key=f"x:y:{copy}") for copy in (1, 2)]
    found = await counter.compare(lines)
    assert (found.matched, found.opened) == (0, 3)
    assert sorted(one["kind"] for one in counter.breaks()) == [
        "missing_at_provider",
        "missing_here",
        "missing_here",
    ]


@pytest.mark.parametrize(("operation", "net"), [("capture", -1_010), ("refund", 990)])
async def test_line_that_moves_its_money_the_other_way_never_agrees(
    counter: Counter, operation: str, net: int
) -> None:
    key = counter.effect(1, operation)
    fee = 10 if operation == "capture" else 0
    line = SettlementLine(
        number=1,
        kind=SettlementKind(operation),
        effect_key=key,
        amount=1_000,
        fee=fee,
        net=net,
        currency="EUR",
    )
    assert (await counter.compare_read([line])).opened == 1
    assert counter.breaks()[0]["kind"] == "amount_mismatch"
    assert counter.rows("SELECT * FROM ledger_postings") == []


async def test_line_that_agrees_does_not_close_what_another_kind_says_of_its_effect(
    counter: Counter,
) -> None:
    key = counter.effect(1)
    settled = SettlementLine(
        number=1,
        kind=SettlementKind.CAPTURE,
        effect_key=key,
        amount=1_000,
        fee=10,
        net=990,
        currency="EUR",
    )
    taken_back = {"number": 2, "kind": SettlementKind.OTHER, "fee": 0, "net": -1_000}
    lines = [settled, settled.model_copy(update=taken_back)]
    assert (await counter.compare_read(lines)).opened == 1
    again = await counter.compare_read(lines)
    assert (again.opened, again.closed) == (0, 0)
    assert counter.breaks()[0]["kind"] == "missing_here"


async def test_payout_is_information_for_it_is_booked_by_its_own_saga(counter: Counter) -> None:
    counter.effect(1, "create_payout")
    line = effect_line(1, "payout", effect_key="cap_1:create_payout:1")
    assert (await counter.compare([line])).matched == 1
    assert counter.rows("SELECT * FROM ledger_postings") == []


async def test_many_breaks_are_opened_page_by_page(counter: Counter) -> None:
    lines = [effect_line(number) for number in range(1, 1_101)]
    assert (await counter.compare(lines)).opened == 1_100


async def test_empty_report_of_a_date_without_effects_is_clean(counter: Counter) -> None:
    found = await counter.compare([], date(2026, 11, 23))
    assert (found.lines, found.opened) == (0, 0)


async def test_what_has_not_ended_is_listed_page_by_page(counter: Counter) -> None:
    begun = [await counter.begin(DAY + timedelta(days=number)) for number in range(3)]
    listed: list[ReconcileInput] = []
    await counter.finish(begun[1])
    async with counter.database.transaction() as session:
        while page := await reconciling.unfinished(
            session, listed[-1].reconciliation_id if listed else None, 1, older_than_seconds=0
        ):
            listed += page
    assert listed == sorted([begun[0], begun[2]], key=lambda one: one.reconciliation_id)


LINES = 1_000_000 if SOAK else 20_000
MOST_MEGABYTES = 300


async def test_long_report_is_compared_in_bounded_memory(counter: Counter) -> None:
    """As much as the worker process of this size may take: the lines are never in it together."""
    counter.effects(LINES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report_id = counter.keep_many(LINES)
    counter.shelf.load(report_id, lambda chunks: read_report(chunks, DAY), look_back_days=35)
    compared = await counter.compare_again(report_id)
    assert (compared.lines, compared.matched, compared.opened) == (LINES, LINES, 0)
    assert await counter.balance("bank:main:cash") == LINES * 990
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < (MOST_MEGABYTES if SOAK else 30)


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_comparison_whose_commit_is_cut_settles_once(counter: Counter, fault: Fault) -> None:
    counter.effect(1)
    report_id = counter.keep(report_of([effect_line(1), effect_line(2)]))
    counter.shelf.load(report_id, lambda chunks: read_report(chunks, DAY))
    async with commit_proxy(counter.url) as proxy:
        broken = Counter(counter.url, Database(proxy.url))
        given = await broken.begin(DAY)
        proxy.break_commit(fault, 1)
        with pytest.raises(DBAPIError):
            await broken.compare_given(given, report_id)
        assert proxy.fired
        compared = await broken.compare_given(given, report_id)
        await broken.database.close()
    assert (compared.matched, len(counter.breaks())) == (1, 1)
    assert await counter.balance("bank:main:cash") == 990
    assert len(counter.rows("SELECT * FROM ledger_postings")) == 1
