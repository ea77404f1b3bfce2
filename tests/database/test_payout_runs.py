"""Payout runs in the database: one of each, frozen once, reviewed by a second person, and each item
handed out once, whoever asks how often.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Literal

import pytest
from sqlalchemy.exc import IntegrityError

from recompense.contracts.payout_runs import PlanRun, RunRef
from recompense.persistence import ledger
from tests.support.payout_runs import seed
from tests.support.run_scene import CHECKER, MAKER, Scene, run_input, shop


async def test_a_run_takes_what_is_due_and_leaves_the_rest(scene: Scene) -> None:
    takes = await shop(scene, balances={"EUR": 5_000, "USD": 70, "JPY": 9})
    at_minimum = await shop(scene, minimum={"EUR": 5_000})
    await shop(scene, minimum=5_001)
    await shop(scene, "weekly")
    await shop(scene, "manual")
    in_debt = await shop(scene, balances={})
    async with scene.database.transaction() as session:
        await ledger.set_floor(session, in_debt, "EUR", -900)
        await ledger.post(session, seed(in_debt, "EUR", -900))
    run_id = await scene.built()
    run = await scene.view(run_id)
    assert run.status == "awaiting_approval"
    assert {place: item.amount for place, item in (await scene.items(run_id)).items()} == {
        (takes, "EUR"): 5_000,
        (takes, "USD"): 70,
        (takes, "JPY"): 9,
        (at_minimum, "EUR"): 5_000,
    }
    assert (run.items_count, run.amount_total) == (4, {"EUR": 10_000, "USD": 70, "JPY": 9})
    assert await scene.rows("SELECT type FROM events WHERE type LIKE 'payout_run%'") == [
        {"type": "payout_run.awaiting_approval"}
    ]


async def test_one_currency_is_run_alone(scene: Scene) -> None:
    merchant = await shop(scene, balances={"EUR": 5_000, "USD": 70})
    dollars, euros = await scene.built(currency="USD"), await scene.built(currency="EUR")
    assert list(await scene.items(dollars)) == [(merchant, "USD")]
    assert list(await scene.items(euros)) == [(merchant, "EUR")]


@pytest.mark.parametrize(("first", "second"), [(None, "EUR"), ("EUR", None)])
async def test_all_currencies_and_one_exclude_each_other(
    scene: Scene, first: str | None, second: str | None
) -> None:
    run_id = await scene.built(currency=first)
    refusal = (await scene.steps().open(run_input(currency=second))).refusal
    assert refusal is not None
    assert refusal.code == "payout_run_exists"
    assert refusal.members == {"payout_run_id": run_id}
    with pytest.raises(IntegrityError):
        await scene.rows(
            "INSERT INTO payout_runs (id, name, business_date, currency, scope, status,"
            " amount_total, created_by) VALUES ('run_x', 'daily', '2026-11-27', :currency, :scope,"
            " 'building', '{}', 'x')",
            currency=second,
            scope="one" if second else "all",
        )


async def test_starters_that_race_make_one_run(scene: Scene) -> None:
    await shop(scene)
    many = [scene.steps().open(run_input(requested_by=f"starter-{n}")) for n in range(8)]
    opened = await asyncio.gather(*many)
    assert len({one.run.id for one in opened if one.run}) == 1
    both = [scene.steps().open(run_input(name="x", currency=one)) for one in (None, "EUR") * 4]
    answers = await asyncio.gather(*both)
    assert len({one.run.id for one in answers if one.run}) == 1
    assert {one.refusal.code for one in answers if one.refusal} == {"payout_run_exists"}


async def test_copies_that_freeze_at_once_freeze_each_item_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.payout_runs.MERCHANTS_AT_ONCE", 3)
    merchants = {await shop(scene) for _ in range(8)}
    opened = (await scene.steps().open(run_input())).run
    assert opened is not None
    pages = [scene.steps().freeze(RunRef(run_id=opened.id)) for _ in range(8)]
    assert any(page.done for page in await asyncio.gather(*pages))
    items = await scene.items(opened.id)
    assert {merchant for merchant, _ in items} == merchants
    assert (await scene.view(opened.id)).amount_total == {"EUR": 40_000}


async def test_a_frozen_list_never_grows(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.running()
    await shop(scene)
    frozen = await scene.steps().freeze(RunRef(run_id=run_id))
    assert (frozen.done, frozen.status, frozen.items_count) == (True, "running", 1)
    assert len(await scene.items(run_id)) == 1


async def test_money_is_promised_by_one_run_only(scene: Scene) -> None:
    merchant = await shop(scene)
    first = await scene.built()
    async with scene.database.transaction() as session:
        await ledger.post(session, seed(merchant, "EUR", 30, number=2))
    later = await scene.built(business_date=date(2026, 11, 30))
    assert [item.amount for item in (await scene.items(later)).values()] == [30]
    await scene.review(first, "reject")
    last = await scene.built(business_date=date(2026, 12, 1))
    assert [item.amount for item in (await scene.items(last)).values()] == [5_000]


async def test_a_second_person_approves(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.built()
    refusal = (await scene.review(run_id, actor=MAKER)).refusal
    assert refusal is not None
    assert refusal.code == "four_eyes"
    assert (await scene.view(run_id)).status == "awaiting_approval"
    reviewed = await scene.review(run_id)
    assert reviewed.run is not None
    assert (reviewed.run.status, reviewed.run.reviewed_by) == ("running", CHECKER)
    again = (await scene.review(run_id)).refusal
    assert again is not None
    assert again.code == "payout_run_not_awaiting_approval"
    with pytest.raises(IntegrityError):
        await scene.rows(
            "UPDATE payout_runs SET reviewed_by = created_by WHERE id = :id", id=run_id
        )
    audited = await scene.rows("SELECT actor, action FROM audit_log WHERE target = :id", id=run_id)
    assert [tuple(row.values()) for row in audited] == [
        (MAKER, "payout_run_made"),
        (CHECKER, "payout_run_approve"),
    ]


async def test_reviewers_that_race_are_told_apart(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.built()
    words: list[Literal["approve", "reject"]] = ["approve", "reject"]
    answers = await asyncio.gather(*(scene.review(run_id, word) for word in words * 3))
    assert [one.refusal is None for one in answers].count(True) == 1


async def test_a_rejected_run_pays_nothing(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.built()
    assert (await scene.review(run_id, "reject", actor=MAKER)).refusal is None
    assert (await scene.advance(run_id)).items == ()
    assert [item.status for item in (await scene.items(run_id)).values()] == ["rejected"]
    run = await scene.view(run_id)
    assert (run.status, run.paid_count, run.failed_count) == ("rejected", 0, 0)


async def test_without_approval_a_run_goes_on_at_once(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.built(approval=False)
    assert len((await scene.advance(run_id)).items) == 1


async def test_an_item_is_handed_out_until_it_is_started_and_never_after(scene: Scene) -> None:
    for _ in range(5):
        await shop(scene)
    run_id = await scene.running()
    first = await scene.advance(run_id, at_once=2)
    assert len(first.items) == 2
    assert (await scene.advance(run_id, at_once=2)).items == first.items
    started = tuple(item.item_id for item in first.items)
    assert (await scene.advance(run_id, at_once=2, started=started)).items == ()
    await scene.payout(first.items[0].payout.payout_id, "pending")
    assert (await scene.advance(run_id, at_once=2)).items == ()
    await scene.payout(first.items[0].payout.payout_id, "in_transit")
    third = await scene.advance(run_id, at_once=2)
    assert len(third.items) == 1
    assert third.items[0].item_id not in started
    again = await scene.advance(run_id, at_once=2, started=started)
    assert again.items == third.items


async def test_a_run_ends_when_every_item_is_settled(scene: Scene) -> None:
    merchants = [await shop(scene) for _ in range(2)]
    run_id = await scene.running()
    items = (await scene.advance(run_id)).items
    started = tuple(item.item_id for item in items)
    assert (await scene.advance(run_id, started=started)).status == "running"
    for item, status in zip(items, ("in_transit", "paid"), strict=True):
        await scene.payout(item.payout.payout_id, status)
    assert (await scene.advance(run_id)).status == "completed"
    assert (await scene.advance(run_id)).status == "completed"
    run = await scene.view(run_id)
    assert (run.paid_count, run.amount_paid) == (1, {"EUR": 5_000})
    await scene.payout(items[0].payout.payout_id, "returned")
    run = await scene.view(run_id)
    assert (run.status, run.paid_count, run.failed_count) == ("completed", 1, 1)
    assert await scene.rows(
        "SELECT count(*) AS told FROM events WHERE type = 'payout_run.completed'"
    ) == [{"told": 1}]
    assert {merchant for merchant, _ in await scene.items(run_id)} == set(merchants)


async def test_a_merchant_without_a_destination_fails_alone(scene: Scene) -> None:
    nowhere, paid = await shop(scene, token=None), await shop(scene)
    run_id = await scene.running()
    handed = await scene.advance(run_id)
    assert [item.payout.merchant_id for item in handed.items] == [paid]
    items = await scene.items(run_id)
    assert items[nowhere, "EUR"].failure.code == "payout_destination_missing"


async def test_a_schedule_runs_what_is_due_on_its_business_day(scene: Scene) -> None:
    fired = datetime(2026, 11, 30, 5, tzinfo=UTC)
    steps = scene.steps("DE")
    planned = await steps.plan(PlanRun(name="daily", fired_at=fired))
    assert planned.run is not None
    assert (planned.run.business_date, planned.run.requested_by) == (
        date(2026, 11, 30),
        "schedule:daily",
    )
    weekend = await steps.plan(
        PlanRun(name="daily", fired_at=datetime(2026, 11, 28, 5, tzinfo=UTC))
    )
    assert weekend.run is None
    mondays = await shop(scene, weekday="monday")
    late = await shop(scene, cut_off="17:00", time_zone="America/New_York", weekday="friday")
    await shop(scene, weekday="tuesday")
    await shop(scene, cut_off="17:00", time_zone="America/New_York", weekday="monday")
    run_id = await scene.built(calendar="DE", **planned.run.model_dump())
    assert {merchant for merchant, _ in await scene.items(run_id)} == {mondays, late}
    assert (await scene.review(run_id, actor=MAKER)).refusal is None


async def test_a_schedule_asks_nobody_about_nothing(scene: Scene) -> None:
    fired = datetime(2026, 11, 30, 5, tzinfo=UTC)
    empty = await scene.built(name="monthly", fired_at=fired, requested_by="schedule:monthly")
    assert (await scene.view(empty)).status == "completed"
    by_hand = await scene.built(name="weekly")
    assert (await scene.view(by_hand)).status == "awaiting_approval"
