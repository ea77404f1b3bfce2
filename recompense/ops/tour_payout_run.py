"""The tour's stories of finance: a payout run that a second person approves, and one that is
rejected.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from recompense.domain.money import formatted
from recompense.ops.tour_client import Chapter, Guide, Json, expect

_EUR = "EUR"
_AMOUNTS = (3_000, 2_000)


async def runs_payouts(guide: Guide) -> Chapter:
    """Two merchants are paid by one run; the next date's run is rejected."""
    chapter = Chapter("A payout run, with four eyes on it")
    name, today = f"tour-{uuid.uuid4().hex[:8]}", datetime.now(UTC).date()
    merchants = [await _shop(guide, name) for _ in _AMOUNTS]
    for merchant_id, amount in zip(merchants, _AMOUNTS, strict=True):
        await _earn(guide, merchant_id, amount)
    run = await _made(guide, name, str(today))
    total = formatted(sum(_AMOUNTS), _EUR)
    expect(run["amount_total"] == {_EUR: sum(_AMOUNTS)}, run)
    chapter.told(f"{run['id']} would pay {total} to two merchants, and waits for an approval")
    path = f"/v1/payout-runs/{run['id']}"
    await guide.post("admin", f"{path}/approve", {"reason": "totals checked (tour)"})
    await guide.until("finance", path, _is_paid, "the payout run")
    items = (await guide.get("finance", f"{path}/items"))["data"]
    for item in items:
        effects = await guide.effects(item["payout_id"])
        expect(len(effects) == 1, f"{len(effects)} effects for {item['payout_id']}")
    chapter.told("Somebody else approved it: both are paid, and the bank made one effect for each")
    await chapter.shows(guide, f"payout/{items[0]['payout_id']}")
    await _earn(guide, merchants[0], _AMOUNTS[0])
    await _is_rejected(guide, chapter, name, str(today + timedelta(days=1)), merchants[0])
    return chapter


async def _is_rejected(
    guide: Guide, chapter: Chapter, name: str, business_date: str, merchant_id: str
) -> None:
    run = await _made(guide, name, business_date)
    path = f"/v1/payout-runs/{run['id']}"
    rejected = await guide.post("admin", f"{path}/reject", {"reason": "not today (tour)"})
    expect(rejected["status"] == "rejected", rejected)
    balances = await guide.get("finance", f"/v1/merchants/{merchant_id}/balances")
    available = balances["data"][0]["available"]
    expect(available == _AMOUNTS[0], balances)
    left = formatted(available, _EUR)
    chapter.told(f"The run of {business_date} was rejected: {left} stay available")


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


async def _earn(guide: Guide, merchant_id: str, amount: int) -> None:
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
