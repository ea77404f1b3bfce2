"""Finance's part of the tour: reports with planted breaks, found and repaired."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from recompense.domain.money import formatted
from recompense.ops.tour_client import Chapter, Guide, Json, expect
from recompense.ops.tour_payouts import earn
from recompense.stack.tokens import DEMO_MERCHANT

_PLANTED = (
    ("amount", "amount_mismatch"),
    ("fee", "fee_mismatch"),
    ("extra", "missing_here"),
    ("duplicate", "duplicate"),
)


async def reconciles(guide: Guide) -> Chapter:
    """Each kind of break that a report can be given, found and repaired; one closes by itself."""
    chapter = Chapter("Reports that do not agree, and their repair")
    day = await _first_day(guide)
    for corrupt, kind in _PLANTED:
        await _repaired(guide, chapter, day, corrupt, kind)
        day += timedelta(days=1)
    await _comes_late(guide, chapter, day)
    return chapter


async def _repaired(guide: Guide, chapter: Chapter, day: date, corrupt: str, kind: str) -> None:
    await earn(guide, DEMO_MERCHANT, 2_500)
    await guide.settle(day.isoformat(), corrupt)
    found = await _reconciled(guide, day)
    expect(found["status"] == "breaks", found)
    broken = await _newest_break(guide, kind)
    repaired = await guide.post(
        "ops",
        f"/v1/breaks/{broken['id']}/resolve",
        {"action": broken["proposal"], "reason": "agreed with the provider (tour)"},
    )
    expect(repaired["status"] == "resolved", repaired)
    again = await _reconciled(guide, day)
    expect(again["report_hash"] == found["report_hash"], again)
    expect(again["breaks"] == found["breaks"] - 1, again)
    action = repaired["resolution"]["action"]
    chapter.told(f"{day}: {kind} of {_difference(broken)}, repaired by `{action}`, once")


async def _comes_late(guide: Guide, chapter: Chapter, day: date) -> None:
    await earn(guide, DEMO_MERCHANT, 2_500)
    await guide.settle(day.isoformat(), "missing")
    await _reconciled(guide, day)
    broken = await _newest_break(guide, "missing_at_provider")
    next_day = day + timedelta(days=1)
    await guide.settle(next_day.isoformat())
    expect((await _reconciled(guide, next_day))["status"] == "clean", next_day)
    closed = await guide.get("finance", f"/v1/breaks/{broken['id']}")
    expect(closed["status"] == "resolved", closed)
    chapter.told(
        f"{day}: missing_at_provider; the report of {next_day} held it, and the break closed itself"
    )


async def _first_day(guide: Guide) -> date:
    """Today, or the date after the last one that was reconciled."""
    listed = await guide.get("finance", "/v1/reconciliations?limit=1")
    today = datetime.now(UTC).date()
    if not listed["data"]:
        return today
    return max(today, date.fromisoformat(listed["data"][0]["date"]) + timedelta(days=1))


async def _newest_break(guide: Guide, kind: str) -> Json:
    listed = await guide.get("finance", "/v1/breaks?status=open&limit=100")
    found = [one for one in listed["data"] if one["kind"] == kind]
    expect(bool(found), f"the planted {kind} was not found")
    newest: Json = found[0]
    return newest


async def _reconciled(guide: Guide, day: date) -> Json:
    body = {"provider": "sandbox", "date": day.isoformat()}
    found = await guide.post("ops", "/v1/reconciliations", body, wait_seconds=30)
    expect(found["status"] in {"clean", "breaks"}, found)
    return found


def _difference(broken: Json) -> str:
    """What our books say, and what the report says."""
    ours, theirs = (_figure(broken[side], broken["kind"]) for side in ("expected", "found"))
    return f"{theirs} where we have {ours}"


def _figure(figures: Json | None, kind: str) -> str:
    if figures is None:
        return "nothing"
    amount = figures["fee"] if kind == "fee_mismatch" else figures["amount"]
    return formatted(int(amount), str(figures["currency"]))
