"""What a person books and what a comparison settles are never the same money, in whichever order
the two come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from adapters.sandbox.report import read_report
from recompense.contracts.reconciliation import Compared
from recompense.contracts.repairs import RepairStage
from recompense.contracts.settlement import ReportEnd, SettlementLine
from recompense.persistence import matching, repairs
from tests.database.test_breaks import admit, asked, balances, book, open_break, resolve, rules
from tests.support.settling import DAY, NOON, Counter, effect_line, report_of

NEXT_DAY = DAY + timedelta(days=1)
SETTLED = (990, 10, 0, 0, 0)
"""Bank, fees, suspense, losses and clearing, when 1,000 that were captured have come once."""

KINDS = ["missing_at_provider", "missing_here"]


async def asked_to_post(counter: Counter, kind: str) -> tuple[str, list[dict[str, Any]]]:
    """A break that a person wants posted, and the next report, which shows that all is well."""
    if kind == "missing_here":
        await counter.compare([effect_line(1)])
        counter.captured(1)
    else:
        counter.captured(1)
        await counter.compare([])
    break_id = open_break(counter)
    await admit(counter, break_id, asked("post"))
    return break_id, [] if kind == "missing_here" else [effect_line(1)]


async def waits(counter: Counter, task: asyncio.Task[Any]) -> bool:
    """Whether this waits for a lock, once it does or has ended."""
    while not task.done():
        if counter.rows(
            "SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            return True
        await asyncio.sleep(0.01)
    return False


def halted(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Halt the next comparison once it has judged its lines: when it has, and that it goes on."""
    judged, goes_on, settle = asyncio.Event(), asyncio.Event(), matching._settle

    async def settle_when_told(*given: Any) -> None:
        judged.set()
        await goes_on.wait()
        await settle(*given)

    monkeypatch.setattr(matching, "_settle", settle_when_told)
    return judged, goes_on


@pytest.mark.parametrize("kind", KINDS)
async def test_repair_waits_for_a_comparison_and_books_nothing_that_it_has_settled(
    counter: Counter, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_id, lines = await asked_to_post(counter, kind)
    judged, goes_on = halted(monkeypatch)
    comparing = asyncio.create_task(counter.compare(lines, NEXT_DAY))
    await judged.wait()
    booking = asyncio.create_task(book(counter, break_id))
    waited = await waits(counter, booking)
    goes_on.set()
    await comparing
    stands = await booking
    assert await balances(counter) == SETTLED
    assert (waited, stands.stage, stands.key) == (True, RepairStage.RESOLVED, None)


@pytest.mark.parametrize("kind", KINDS)
async def test_comparison_waits_for_a_repair_and_settles_nothing_that_it_has_booked(
    counter: Counter, kind: str
) -> None:
    break_id, lines = await asked_to_post(counter, kind)
    async with counter.database.transaction() as session:
        await repairs.book(session, break_id, rules())
        comparing = asyncio.create_task(counter.compare(lines, NEXT_DAY))
        waited = await waits(counter, comparing)
    await comparing
    assert waited
    left = [one["kind"] for one in counter.breaks() if one["status"] == "open"]
    assert left == ["late" if kind == "missing_at_provider" else "missing_at_provider"]
    await resolve(counter, "post")
    assert await balances(counter) == SETTLED


NAMES: dict[str, dict[str, Any]] = {
    "effect key": {},
    "reference": {"effect_key": None, "operation_id": None},
    "operation": {"effect_key": None, "provider_reference": "theirs"},
}
"""What a line names of ours, as some providers do: the rest is gone from it."""


async def compare_naming(counter: Counter, names: str, lines: list[dict[str, Any]]) -> Compared:
    """Compare a report whose lines name no more than this."""

    def named(read: Iterable[SettlementLine | ReportEnd]) -> Iterator[SettlementLine | ReportEnd]:
        for one in read:
            is_line = isinstance(one, SettlementLine)
            yield one.model_copy(update=NAMES[names]) if is_line else one

    report_id = counter.keep(report_of(lines, DAY, NOON))
    counter.shelf.load(report_id, lambda chunks: named(read_report(chunks, DAY)))
    return await counter.compare_again(report_id)


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("action", ["post", "write_off"])
@pytest.mark.parametrize("replaced", [False, True], ids=["the same report", "a replaced report"])
async def test_line_that_a_person_has_booked_is_not_settled_once_its_effect_is_known(
    counter: Counter, names: str, action: str, replaced: bool
) -> None:
    counter.effect(7, "authorize")
    lines = [effect_line(1), effect_line(7, "authorize", net=0, fee=0)]
    await compare_naming(counter, names, lines)
    await resolve(counter, action)
    booked = (990, 10, -1_000, 0) if action == "post" else (990, 10, 0, -1_000)
    assert await balances(counter) == (*booked, 0)
    counter.captured(1)
    again = lines[::-1] if replaced else lines
    known = await compare_naming(counter, names, again)
    assert await balances(counter) == (*booked, 1_000)
    assert known.opened == 1
    found = counter.breaks()[-1]
    assert (found["kind"], found["effect_key"]) == ("missing_at_provider", "cap_1:capture:1")
    unchanged = await compare_naming(counter, names, again)
    assert (unchanged.opened, unchanged.closed) == (0, 0)
    await resolve(counter, action)
    assert await balances(counter) == SETTLED
    unchanged = await compare_naming(counter, names, again)
    assert (unchanged.opened, unchanged.closed) == (0, 0)
    assert await balances(counter) == SETTLED


@pytest.mark.parametrize("names", NAMES)
async def test_line_that_a_person_has_only_accepted_is_settled_once_its_effect_is_known(
    counter: Counter, names: str
) -> None:
    await compare_naming(counter, names, [effect_line(1)])
    await resolve(counter, "accept")
    counter.captured(1)
    assert (await compare_naming(counter, names, [effect_line(1)])).opened == 0
    assert await balances(counter) == SETTLED
