"""Finance's part of the tour: a report with a planted break, found and repaired."""

from __future__ import annotations

from datetime import UTC, datetime

from recompense.domain.money import formatted
from recompense.ops.tour_client import Chapter, Guide, Json, expect


async def reconciles(guide: Guide) -> Chapter:
    """Reconcile a report with a wrong amount, and repair that."""
    chapter = Chapter("A report that does not agree, and its repair")
    day = datetime.now(UTC).date().isoformat()
    await guide.settle(day, "amount")
    found = await _reconciled(guide, day)
    expect(found["status"] == "breaks", found)
    chapter.told(
        f"{found['id']} held {found['lines']} lines against the books: {found['matched']} agree"
    )
    listed = await guide.get("finance", "/v1/breaks?status=open&kind=amount_mismatch&limit=1")
    expect(bool(listed["data"]), "the planted break was not found")
    broken = listed["data"][0]
    ours, theirs = (_amount(broken[side]) for side in ("expected", "found"))
    chapter.told(f"{broken['id']}: our books say {ours}, the report says {theirs}")
    repaired = await guide.post(
        "ops",
        f"/v1/breaks/{broken['id']}/resolve",
        {"action": broken["proposal"], "reason": "claimed from the provider (tour)"},
    )
    expect(repaired["status"] == "resolved", repaired)
    action, actor = repaired["resolution"]["action"], repaired["resolution"]["actor"]
    chapter.told(f"Repaired by `{action}`, recorded with who ({actor}) and why")
    again = await _reconciled(guide, day)
    expect(again["report_hash"] == found["report_hash"], again)
    expect(again["breaks"] == found["breaks"] - 1, again)
    chapter.told("The same date again finds nothing new")
    return chapter


async def _reconciled(guide: Guide, day: str) -> Json:
    body = {"provider": "sandbox", "date": day}
    found = await guide.post("ops", "/v1/reconciliations", body, wait_seconds=30)
    expect(found["status"] in {"clean", "breaks"}, found)
    return found


def _amount(figures: Json) -> str:
    return formatted(int(figures["amount"]), str(figures["currency"]))
