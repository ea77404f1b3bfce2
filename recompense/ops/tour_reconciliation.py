"""Finance's part of the tour: a break of each kind, found and repaired, and a report that is
reconciled by the clock.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

from temporalio.client import Client, ScheduleState

from recompense.domain.money import formatted
from recompense.ops.tour_client import Chapter, Guide, Json, TourFailed, expect
from recompense.ops.tour_payouts import earn
from recompense.schedules import every, reconciliation_schedules
from recompense.stack.tokens import DEMO_MERCHANT

_DAY = timedelta(days=1)
_EARNED = 2_500
_PLANTED = (
    ("amount", "amount_mismatch"),
    ("currency", "currency_mismatch"),
    ("fee", "fee_mismatch"),
    ("extra", "missing_here"),
    ("duplicate", "duplicate"),
)


async def reconciles(guide: Guide, client: Client, unknown: Json) -> Chapter:
    """Each kind of break, found and repaired; one closes by itself.

    `unknown` is a payment that is parked: the provider has authorized it and nobody told us.
    """
    chapter = Chapter("Reports that do not agree, and their repair")
    first = await _first_day(guide)
    days = (first + number * _DAY for number in count())
    await _tells_of_the_unknown(guide, chapter, next(days), unknown)
    for corrupt, kind in _PLANTED:
        day = next(days)
        await earn(guide, DEMO_MERCHANT, _EARNED)
        found, broken = await _found(guide, day, kind, corrupt)
        action = await _repaired(guide, day, found, broken)
        chapter.told(f"{day}: {kind} of {_difference(broken)}, repaired by `{action}`, once")
    await _comes_a_day_later(guide, chapter, next(days), next(days))
    await _comes_after_all(guide, chapter, next(days), next(days))
    await _goes_by_the_clock(guide, client, chapter)
    return chapter


async def _tells_of_the_unknown(guide: Guide, chapter: Chapter, day: date, unknown: Json) -> None:
    found, broken = await _found(guide, day, "state_mismatch", payment_id=unknown["id"])
    action = await _repaired(guide, day, found, broken)
    path = f"/v1/payments/{unknown['id']}"
    await guide.until("backend", path, _is_authorized, "the payment that the report told of")
    effects = await guide.effects(unknown["id"])
    expect(len(effects) == 1, f"the provider made {len(effects)} effects for {unknown['id']}")
    chapter.told(
        f"{day}: state_mismatch: answer, look-ups and webhook of {unknown['id']} were lost;"
        f" `{action}` looked it up, and its saga went on"
    )
    await chapter.shows(guide, f"authorize/{unknown['id']}")


async def _comes_a_day_later(guide: Guide, chapter: Chapter, day: date, next_day: date) -> None:
    await earn(guide, DEMO_MERCHANT, _EARNED)
    _, broken = await _found(guide, day, "missing_at_provider", "missing")
    await guide.settle(next_day.isoformat())
    expect((await _reconciled(guide, next_day))["status"] == "clean", next_day)
    closed = await guide.get("finance", f"/v1/breaks/{broken['id']}")
    expect(closed["status"] == "resolved", closed)
    chapter.told(
        f"{day}: missing_at_provider; the report of {next_day} held it, and the break closed itself"
    )


async def _comes_after_all(guide: Guide, chapter: Chapter, day: date, next_day: date) -> None:
    await earn(guide, DEMO_MERCHANT, _EARNED)
    found, broken = await _found(guide, day, "missing_at_provider", "missing")
    await _repaired(guide, day, found, broken, "write_off")
    found, late = await _found(guide, next_day, "late", payment_id=broken["payment_id"])
    action = await _repaired(guide, next_day, found, late)
    chapter.told(
        f"{next_day}: late: what was written off on {day} came after all,"
        f" and the loss was taken back by `{action}`, once"
    )


async def _goes_by_the_clock(guide: Guide, client: Client, chapter: Chapter) -> None:
    """The daily schedule, here on a clock that strikes a second from now, and once."""
    yesterday = (datetime.now(UTC) - _DAY).date()
    await earn(guide, DEMO_MERCHANT, _EARNED)
    await guide.settle(yesterday.isoformat())
    before = {one["id"] for one in await _of(guide, yesterday)}
    daily, *_ = reconciliation_schedules(["sandbox"], "00:00")
    planned = replace(daily, schedule_id=f"tour-{uuid.uuid4().hex[:8]}", spec=every(1))
    one_time = ScheduleState(limited_actions=True, remaining_actions=1)
    once = replace(planned.schedule(), state=one_time)
    schedule = await client.create_schedule(planned.schedule_id, once)
    try:
        await guide.until(
            "finance",
            "/v1/reconciliations?provider=sandbox&limit=100",
            lambda listed: any(_has_ended(one, yesterday, before) for one in listed["data"]),
            "the scheduled reconciliation",
        )
    finally:
        await schedule.delete()
    made = [one for one in await _of(guide, yesterday) if one["id"] not in before]
    expect(len(made) == 1, made)
    expect(made[0]["matched"] > 0, made)
    chapter.told(
        f"The clock struck: the report of yesterday was fetched and reconciled by itself,"
        f" {made[0]['matched']} of {made[0]['lines']} lines agree"
    )


def _has_ended(one: Json, day: date, before: set[str]) -> bool:
    fresh = one["date"] == day.isoformat() and one["id"] not in before
    return fresh and one["status"] in {"clean", "breaks"}


async def _of(guide: Guide, day: date) -> list[Json]:
    listed = await guide.get("finance", "/v1/reconciliations?provider=sandbox&limit=100")
    return [one for one in listed["data"] if one["date"] == day.isoformat()]


async def _first_day(guide: Guide) -> date:
    """Today, or the date after the last one that was reconciled."""
    listed = await guide.get("finance", "/v1/reconciliations?provider=sandbox&limit=100")
    dates = [date.fromisoformat(one["date"]) + _DAY for one in listed["data"]]
    return max([datetime.now(UTC).date(), *dates])


async def _found(
    guide: Guide, day: date, kind: str, corrupt: str | None = None, payment_id: str | None = None
) -> tuple[Json, Json]:
    """Have a report written and reconciled: the reconciliation, and the break of this kind."""
    await guide.settle(day.isoformat(), corrupt)
    found = await _reconciled(guide, day)
    expect(found["status"] == "breaks", found)
    listed = await guide.get("finance", f"/v1/breaks?status=open&kind={kind}&limit=100")
    for one in listed["data"]:
        if one["date"] == day.isoformat() and payment_id in (None, one["payment_id"]):
            return found, one
    raise TourFailed(f"the planted {kind} of {day} was not found")


async def _repaired(
    guide: Guide, day: date, found: Json, broken: Json, action: str | None = None
) -> str:
    """Resolve a break, as proposed or by another action, and see that the report has one less."""
    path = f"/v1/breaks/{broken['id']}"
    chosen = action or broken["proposal"]
    word = {"action": chosen, "reason": "agreed with the provider (tour)"}
    await guide.post("ops", f"{path}/resolve", word)
    repaired = await guide.until("finance", path, _is_resolved, f"the repair of {broken['id']}")
    again = await _reconciled(guide, day)
    expect(again["report_hash"] == found["report_hash"], again)
    expect(again["breaks"] == found["breaks"] - 1, again)
    return str(repaired["resolution"]["action"])


async def _reconciled(guide: Guide, day: date) -> Json:
    body = {"provider": "sandbox", "date": day.isoformat()}
    found = await guide.post("ops", "/v1/reconciliations", body, wait_seconds=30)
    expect(found["status"] in {"clean", "breaks"}, found)
    return found


def _is_authorized(payment: Json) -> bool:
    return bool(payment["status"] == "authorized" and not payment["needs_attention"])


def _is_resolved(broken: Json) -> bool:
    return bool(broken["status"] == "resolved")


def _difference(broken: Json) -> str:
    """What our books say, and what the report says."""
    ours, theirs = (_figure(broken[side], broken["kind"]) for side in ("expected", "found"))
    return f"{theirs} where we have {ours}"


def _figure(figures: Json | None, kind: str) -> str:
    if figures is None:
        return "nothing"
    amount = figures["fee"] if kind == "fee_mismatch" else figures["amount"]
    return formatted(int(amount), str(figures["currency"]))
