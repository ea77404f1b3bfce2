"""Each action that fits a break repairs it once, with its posting, its audit and its event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from activities.boundary import as_application_error
from recompense.contracts.reconciliation import BreakAction, BreakKind
from recompense.contracts.repairs import RepairStage, RepairStands, RepairWord
from recompense.persistence import repairs
from recompense.persistence.database import Database
from recompense.persistence.repair_bookings import FITTING
from recompense.persistence.repairs import Rules
from tests.support.commit_proxy import Fault, commit_proxy
from tests.support.settling import DAY, Counter, effect_line

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


def asked(action: str, actor: str = "finance", key: str | None = None) -> RepairWord:
    return RepairWord(
        key=key or uuid4().hex, action=BreakAction(action), actor=actor, reason="because"
    )


def rules(above: int = 10_000) -> Rules:
    return Rules("main", above)


def open_break(counter: Counter) -> str:
    (row,) = [one for one in counter.breaks() if one["status"] == "open"]
    return str(row["id"])


async def admit(
    counter: Counter, break_id: str, word: RepairWord, above: int = 10_000
) -> RepairStands:
    async with counter.database.transaction() as session:
        return await repairs.admit(session, break_id, word, rules(above))


async def book(counter: Counter, break_id: str) -> RepairStands:
    async with counter.database.transaction() as session:
        return await repairs.book(session, break_id, rules())


async def resolve(
    counter: Counter, action: str, actor: str = "finance", above: int = 10_000
) -> RepairStands:
    """Admit a word and book it, as the workflow does when nobody has to be waited for."""
    break_id = open_break(counter)
    stands = await admit(counter, break_id, asked(action, actor), above)
    return stands if stands.refusal is not None else await book(counter, break_id)


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
    assert (resolved.stage, resolved.shown.status) == (RepairStage.RESOLVED, "resolved")
    assert resolved.shown.resolution is not None
    assert resolved.shown.resolution.actor == "finance"
    assert (await book(counter, resolved.shown.id)).shown == resolved.shown
    twice = await admit(counter, resolved.shown.id, asked(action))
    assert (twice.refusal and twice.refusal.code, twice.key) == ("break_not_open", resolved.key)
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
    refused = await resolve(counter, action)
    assert refused.refusal is not None
    assert (refused.refusal.code, refused.stage) == ("break_action_unfit", RepairStage.UNASKED)
    assert await balances(counter) == before
    assert counter.breaks()[0]["status"] == "open"


async def test_large_write_off_needs_a_second_person(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    first = await resolve(counter, "write_off", above=999)
    assert (first.stage, first.shown.status) == (RepairStage.APPROVAL, "open")
    assert await counter.balance(LOSSES) == 0
    same = await resolve(counter, "write_off", above=999)
    assert (same.refusal and same.refusal.code, same.stage) == ("four_eyes", RepairStage.APPROVAL)
    second = await resolve(counter, "write_off", actor="chief", above=999)
    assert second.shown.resolution is not None
    people = (second.shown.resolution.actor, second.shown.resolution.approved_by)
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


async def test_another_state_is_resolved_once_the_provider_has_said_something(
    counter: Counter,
) -> None:
    key = counter.effect(1, outcome=None)
    await counter.compare([effect_line(1)])
    stands = await resolve(counter, "post")
    assert (stands.stage, stands.shown.status) == (RepairStage.LOOK_UP, "open")
    assert stands.event is not None
    (event,) = counter.rows("SELECT * FROM provider_events")
    assert (event["event_id"], event["effect_key"]) == (stands.event.event_id, key)
    counter.learns(key)
    applied(counter)
    done = await book(counter, stands.shown.id)
    assert (done.stage, done.key) == (RepairStage.RESOLVED, stands.key)
    await counter.compare([], NEXT_DAY)
    assert await counter.balance(BANK) == 990


def applied(counter: Counter) -> None:
    """The event by which the provider is asked has been applied."""
    with psycopg.connect(counter.url) as connection:
        connection.execute("UPDATE provider_events SET status = 'applied'")


async def test_another_action_takes_the_place_of_one_that_waits(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    waits = await resolve(counter, "write_off", above=999)
    taken = await resolve(counter, "accept", actor="chief")
    assert taken.key != waits.key
    assert taken.shown.resolution is not None
    told = taken.shown.resolution
    assert (told.action, told.actor, told.approved_by) == ("accept", "chief", None)
    audited = counter.rows("SELECT action FROM audit_log WHERE target LIKE 'break/%' ORDER BY id")
    assert [one["action"] for one in audited] == [
        "write_off_asked",
        "break_repair_replaced",
        "break_accept",
    ]


async def test_a_word_that_gave_way_is_no_first_person(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    break_id = open_break(counter)
    await admit(counter, break_id, asked("write_off"), 999)
    await admit(counter, break_id, asked("post"), 999)
    again = await admit(counter, break_id, asked("write_off", "chief"), 999)
    assert again.stage is RepairStage.APPROVAL


async def test_withdrawn_word_leaves_the_break_open_and_is_told_in_the_audit(
    counter: Counter,
) -> None:
    counter.captured(1)
    await counter.compare([])
    break_id = open_break(counter)
    await admit(counter, break_id, asked("write_off"), 999)
    for _ in range(2):
        async with counter.database.transaction() as session:
            stands = await repairs.withdraw(session, break_id, "not now")
        assert (stands.stage, stands.key) == (RepairStage.UNASKED, None)
    assert (await book(counter, break_id)).stage is RepairStage.UNASKED
    (_, audited) = counter.rows("SELECT * FROM audit_log WHERE target LIKE 'break/%' ORDER BY id")
    assert (audited["action"], audited["reason"]) == ("break_repair_withdrawn", "not now")
    assert audited["details"]["asked_by"] == "finance"
    alone = await resolve(counter, "write_off", actor="chief", above=999)
    assert alone.stage is RepairStage.APPROVAL


async def test_what_is_booked_is_not_withdrawn(counter: Counter) -> None:
    counter.captured(1)
    await counter.compare([])
    resolved = await resolve(counter, "write_off")
    async with counter.database.transaction() as session:
        stands = await repairs.withdraw(session, resolved.shown.id, "too late")
    assert stands == resolved
    assert await counter.balance(LOSSES) == 1_000


async def test_write_off_that_an_older_build_has_asked_for_is_finished_by_a_second_person(
    counter: Counter,
) -> None:
    counter.captured(1)
    await counter.compare([])
    with psycopg.connect(counter.url) as connection:
        connection.execute("UPDATE breaks SET write_off_asked_by = 'finance'")
    same = await resolve(counter, "write_off", above=999)
    assert same.refusal is not None
    assert same.refusal.code == "four_eyes"
    second = await resolve(counter, "write_off", actor="chief", above=999)
    assert second.shown.resolution is not None
    people = (second.shown.resolution.actor, second.shown.resolution.approved_by)
    assert people == ("finance", "chief")


async def test_break_that_a_report_closes_is_not_resolved_by_the_word_that_waited(
    counter: Counter,
) -> None:
    counter.captured(1)
    await counter.compare([])
    waits = await resolve(counter, "write_off", above=999)
    await counter.compare([effect_line(1)], NEXT_DAY)
    stands = await book(counter, waits.shown.id)
    assert (stands.stage, stands.key) == (RepairStage.RESOLVED, None)
    assert await balances(counter) == (990, 10, 0, 0, 0)


async def test_information_moves_no_money(counter: Counter) -> None:
    counter.effect(1, "authorize")
    line = effect_line(1, "authorize", amount=1_001, net=0)
    assert (await counter.compare([line])).opened == 1
    await resolve(counter, "write_off")
    assert counter.rows("SELECT * FROM ledger_postings") == []


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("step", ["first", "second", "book"])
async def test_repair_whose_commit_is_cut_is_made_once(
    counter: Counter, step: str, fault: Fault
) -> None:
    counter.captured(1)
    await counter.compare([])
    break_id = open_break(counter)
    async with commit_proxy(counter.url) as proxy:
        broken = Database(proxy.url, pool_size=2, statement_timeout_seconds=5)
        cut = Counter(counter.url, broken)
        work: dict[str, Callable[[], Awaitable[RepairStands]]] = {
            "first": lambda: admit(cut, break_id, asked("write_off", key="first"), 999),
            "second": lambda: admit(cut, break_id, asked("write_off", "chief", "second"), 999),
            "book": lambda: book(cut, break_id),
        }
        for name, do in work.items():
            if name == step:
                proxy.break_commit(fault, 1)
            assert (await until_done(do)).refusal is None
        assert proxy.fired, "the fault has not met its commit: the case proves nothing"
        await broken.close()
    assert await balances(counter) == (0, 0, 0, 1_000, 0)
    audited = counter.rows("SELECT * FROM audit_log WHERE target LIKE 'break/%' ORDER BY id")
    assert [one["action"] for one in audited] == ["write_off_asked", "break_write_off"]
    told = counter.rows("SELECT type FROM events WHERE type LIKE 'break.%' ORDER BY seq")
    assert [one["type"] for one in told] == ["break.opened", "break.resolved"]


async def until_done(do: Callable[[], Awaitable[RepairStands]]) -> RepairStands:
    """Do a step until it is done, as Temporal does."""
    while True:
        try:
            return await do()
        except Exception as error:
            failure = as_application_error(error)
            if failure is None or failure.non_retryable:
                raise
