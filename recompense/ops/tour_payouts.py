"""The tour's stories of payouts: one that comes back, runs that are approved and rejected, and one
that a schedule makes.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from recompense.domain.money import formatted
from recompense.domain.payout_dates import Clock
from recompense.ops.tour_client import Chapter, Guide, Json, expect
from recompense.schedules import RunTimes, payout_run_schedule
from recompense.stack.tokens import DEMO_MERCHANT

_EUR = "EUR"
_AMOUNTS = (3_000, 2_000)
_FIRINGS = 3
_LOOK_AGAIN_SECONDS = 0.3


async def comes_back(guide: Guide) -> Chapter:
    """A payout that the bank pays and then returns: the money is the merchant's again."""
    chapter = Chapter("A payout that comes back")
    await earn(guide, DEMO_MERCHANT, _AMOUNTS[0])
    before = await _available(guide, DEMO_MERCHANT)
    payout = await _pay_out(guide, _AMOUNTS[0], "tok_returned")
    path = f"/v1/payouts/{payout['id']}"
    await guide.until("finance", path, lambda now: now["status"] == "returned", "the return")
    after = await _available(guide, DEMO_MERCHANT)
    expect(after == before, f"{before} were available before, {after} are after")
    chapter.told(f"The bank paid {payout['id']}, and gave it back: the same is available again")
    await chapter.shows(guide, f"payout/{payout['id']}")
    return chapter


async def runs_payouts(guide: Guide) -> Chapter:
    """Two merchants are paid by one run; the next date's run is rejected."""
    chapter = Chapter("A payout run, with four eyes on it")
    name, today = f"tour-{uuid.uuid4().hex[:8]}", datetime.now(UTC).date()
    merchants = [await _shop(guide, name) for _ in _AMOUNTS]
    for merchant_id, amount in zip(merchants, _AMOUNTS, strict=True):
        await earn(guide, merchant_id, amount)
    run = await _made(guide, name, str(today))
    total = formatted(sum(_AMOUNTS), _EUR)
    expect(run["amount_total"] == {_EUR: sum(_AMOUNTS)}, run)
    chapter.told(f"{run['id']} would pay {total} to two merchants, and waits for an approval")
    items = await _approved(guide, run["id"])
    chapter.told("Somebody else approved it: both are paid, and the bank made one effect for each")
    await chapter.shows(guide, f"payout/{items[0]['payout_id']}")
    await earn(guide, merchants[0], _AMOUNTS[0])
    await _is_rejected(guide, chapter, name, str(today + timedelta(days=1)), merchants[0])
    return chapter


async def _is_rejected(
    guide: Guide, chapter: Chapter, name: str, business_date: str, merchant_id: str
) -> None:
    run = await _made(guide, name, business_date)
    path = f"/v1/payout-runs/{run['id']}"
    rejected = await guide.post("admin", f"{path}/reject", {"reason": "not today (tour)"})
    expect(rejected["status"] == "rejected", rejected)
    available = await _available(guide, merchant_id)
    expect(available == _AMOUNTS[0], available)
    left = formatted(available, _EUR)
    chapter.told(f"The run of {business_date} was rejected: {left} stay available")


async def fires_by_itself(guide: Guide, client: Client, clock: Clock) -> Chapter:
    """A schedule makes a run, here one that fires each second. `clock` knows business days."""
    chapter = Chapter("A payout run that its schedule makes")
    if not clock.calendar.is_business_day(clock.business_date(datetime.now(UTC))):
        chapter.told("Today is no business day: schedules fire, and make no run")
        return chapter
    name = f"tour-{uuid.uuid4().hex[:8]}"
    await earn(guide, await _shop(guide, name), _AMOUNTS[1])
    planned = payout_run_schedule(name, RunTimes(every_seconds=1))
    schedule = await client.create_schedule(planned.schedule_id, planned.schedule())
    try:
        path = f"/v1/payout-runs?name={name}"
        await guide.until("finance", path, _is_frozen, "the scheduled run")
        while (await schedule.describe()).info.num_actions < _FIRINGS:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    finally:
        await schedule.delete()
    listed = await guide.get("finance", path)
    expect(len(listed["data"]) == 1, listed)
    run = listed["data"][0]
    chapter.told(f"The schedule fired, and made {run['id']}; fired again, it makes no second one")
    items = await _approved(guide, run["id"])
    expect(len(items) == 1, items)
    chapter.told("A schedule is nobody: one person's approval is the second pair of eyes")
    return chapter


def _is_frozen(listed: Json) -> bool:
    return any(run["status"] == "awaiting_approval" for run in listed["data"])


async def _approved(guide: Guide, run_id: str) -> list[Json]:
    """Approve a run, and see each of its items paid, by one effect at the bank. The items."""
    path = f"/v1/payout-runs/{run_id}"
    await guide.post("admin", f"{path}/approve", {"reason": "totals checked (tour)"})
    await guide.until("finance", path, _is_paid, "the payout run")
    items: list[Json] = (await guide.get("finance", f"{path}/items"))["data"]
    for item in items:
        effects = await guide.effects(item["payout_id"])
        expect(len(effects) == 1, f"{len(effects)} effects for {item['payout_id']}")
    return items


async def _available(guide: Guide, merchant_id: str) -> int:
    balances = await guide.get("finance", f"/v1/merchants/{merchant_id}/balances")
    return sum(one["available"] for one in balances["data"] if one["currency"] == _EUR)


async def _pay_out(guide: Guide, amount: int, token: str) -> Json:
    body = {
        "merchant_id": DEMO_MERCHANT,
        "amount": amount,
        "currency": _EUR,
        "destination": {"type": "bank_token", "token": token},
    }
    return await guide.post("finance", "/v1/payouts", body)


async def _shop(guide: Guide, schedule: str) -> str:
    body = {
        "name": "Shop of the tour",
        "country": "DE",
        "availability": {"rule": "on_capture"},
        "payout": {
            "schedule": schedule,
            "minimum": 1_000,
            "destination": {"type": "bank_token", "token": "tok_ok"},
        },
    }
    return str((await guide.post("admin", "/v1/merchants", body))["id"])


async def earn(guide: Guide, merchant_id: str, amount: int) -> None:
    """A payment that is captured at once."""
    body = {
        "merchant_id": merchant_id,
        "amount": amount,
        "currency": _EUR,
        "payment_method": {"type": "card_token", "token": "tok_ok"},
        "capture_method": "automatic",
    }
    payment = await guide.post("admin", "/v1/payments", body)
    expect(payment["status"] == "captured", payment)


async def _made(guide: Guide, name: str, business_date: str) -> Json:
    body = {"name": name, "business_date": business_date}
    run = await guide.post("finance", "/v1/payout-runs", body)
    expect(run["status"] == "awaiting_approval", run)
    return run


def _is_paid(run: Json) -> bool:
    return bool(run["status"] == "completed" and run["paid_count"] == run["items_count"])
