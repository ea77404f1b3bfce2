"""Reconciliations and breaks as callers of the API see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, fresh_key, mint
from tests.support.sandbox import Sandbox

RECONCILIATION_FIELDS = {
    "id",
    "object",
    "provider",
    "date",
    "status",
    "lines",
    "matched",
    "breaks",
    "report_hash",
    "failure",
    "created_at",
    "finished_at",
}
BREAK_FIELDS = {
    "id",
    "object",
    "kind",
    "status",
    "provider",
    "date",
    "operation_id",
    "payment_id",
    "currency",
    "expected",
    "found",
    "proposal",
    "assignee",
    "created_at",
    "resolution",
}


@pytest.fixture
def day() -> date:
    """A date of this test's own."""
    return date(2100, 1, 1) + timedelta(days=uuid4().int % 300_000)


def settle(sandbox: Sandbox, day: date, corrupt: str | None = None) -> None:
    body = {"date": day.isoformat()} | ({"corrupt": corrupt} if corrupt else {})
    sandbox.http.post("/_control/settle", json=body).raise_for_status()


def reconcile(api: Api, day: date, **options: Any) -> dict[str, Any]:
    body = {"provider": "sandbox", "date": day.isoformat()}
    answer = api.post("/v1/reconciliations", body, headers={"Prefer": "wait=30"}, **options)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def broken(api: Api, sandbox: Sandbox, day: date, corrupt: str, **changes: Any) -> dict[str, Any]:
    """The break that is planted about a payment of this test's own."""
    settle(sandbox, day)
    automatic = PAYMENT | {"capture_method": "automatic"} | changes
    payment_id = api.post("/v1/payments", automatic).json()["id"]
    next_day = day + timedelta(days=1)
    settle(sandbox, next_day, corrupt)
    assert reconcile(api, next_day)["status"] == "breaks"
    query = {"status": "open", "limit": 100}
    found = api.get("/v1/breaks", params=query).json()["data"]
    (one,) = [one for one in found if one["payment_id"] == payment_id]
    return dict(one)


def test_reconciliation_is_made_once_for_its_key_and_found_again(
    api: Api, sandbox: Sandbox, day: date
) -> None:
    settle(sandbox, day)
    key = fresh_key()
    made = reconcile(api, day, key=key)
    assert set(made) == RECONCILIATION_FIELDS
    assert (made["provider"], made["date"]) == ("sandbox", day.isoformat())
    assert made["status"] in {"clean", "breaks"}
    assert len(made["report_hash"]) == 64
    assert reconcile(api, day, key=key) == made
    other = reconcile(api, day)
    assert other["id"] != made["id"]
    assert (other["lines"], other["report_hash"]) == (made["lines"], made["report_hash"])
    assert api.get(f"/v1/reconciliations/{made['id']}").json() == made
    listed = api.get("/v1/reconciliations", params={"limit": 100}).json()["data"]
    ids = [one["id"] for one in listed]
    assert ids.index(other["id"]) < ids.index(made["id"])


def test_caller_that_does_not_wait_is_told_where_to_look(
    api: Api, sandbox: Sandbox, day: date
) -> None:
    settle(sandbox, day)
    body = {"provider": "sandbox", "date": day.isoformat()}
    key = fresh_key()
    asked = api.post("/v1/reconciliations", body, key=key, headers={"Prefer": "wait=0"})
    assert (asked.status_code, asked.json()["status"]) == (202, "running")
    assert asked.headers["Location"] == f"/v1/reconciliations/{asked.json()['id']}"
    known = reconcile(api, day, key=key)
    assert known["id"] == asked.json()["id"]
    assert known["status"] != "running"


@pytest.mark.parametrize(
    ("corrupt", "kind", "action"),
    [
        ("missing", "missing_at_provider", "write_off"),
        ("amount", "amount_mismatch", "post"),
        ("fee", "fee_mismatch", "accept"),
        ("duplicate", "duplicate", "reverse"),
    ],
)
def test_break_is_shown_and_repaired_once(
    api: Api, sandbox: Sandbox, day: date, corrupt: str, kind: str, action: str
) -> None:
    one = broken(api, sandbox, day, corrupt)
    assert set(one) == BREAK_FIELDS
    assert (one["kind"], one["status"], one["resolution"]) == (kind, "open", None)
    assert one["expected"]["amount"] == PAYMENT["amount"]
    path = f"/v1/breaks/{one['id']}"
    assert api.get(path).json() == one
    unfit = "post" if kind == "duplicate" else "reverse"
    refused = api.post(f"{path}/resolve", {"action": unfit, "reason": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "break_action_unfit")
    key, body = fresh_key(), {"action": action, "reason": "agreed with the provider"}
    resolved = api.post(f"{path}/resolve", body, key=key)
    assert (resolved.status_code, resolved.json()["status"]) == (200, "resolved")
    told = resolved.json()["resolution"]
    assert (told["action"], told["reason"], told["actor"]) == (action, body["reason"], "tester")
    again = api.post(f"{path}/resolve", body, key=key)
    assert (again.status_code, again.json()) == (200, resolved.json())
    twice = api.post(f"{path}/resolve", body)
    assert (twice.status_code, twice.json()["code"]) == (409, "break_not_open")
    totals = api.get("/v1/ledger/trial-balance").json()["data"]
    assert all(one["debits_posted"] == one["credits_posted"] for one in totals)


def test_break_is_assigned_until_it_is_resolved(api: Api, sandbox: Sandbox, day: date) -> None:
    one = broken(api, sandbox, day, "fee")
    assert one["assignee"] is None
    path = f"/v1/breaks/{one['id']}"
    assigned = api.post(f"{path}/assign", {"assignee": "finance-1"})
    assert (assigned.status_code, assigned.json()) == (200, one | {"assignee": "finance-1"})
    listed = api.get("/v1/breaks", params={"assignee": "finance-1", "limit": 100}).json()["data"]
    assert one["id"] in [found["id"] for found in listed]
    assert api.post(f"{path}/assign", {"assignee": None}).json() == one
    assert api.post(f"{path}/assign", {"assignee": ""}).status_code == 422
    api.post(f"{path}/resolve", {"action": "accept", "reason": "as agreed"})
    late = api.post(f"{path}/assign", {"assignee": "finance-2"})
    assert (late.status_code, late.json()["code"]) == (409, "break_not_open")


def test_large_write_off_takes_two_people(api: Api, sandbox: Sandbox, day: date) -> None:
    one = broken(api, sandbox, day, "missing", amount=90_000)
    path, body = f"/v1/breaks/{one['id']}/resolve", {"action": "write_off", "reason": "lost"}
    key = fresh_key()
    for _ in range(2):
        first = api.post(path, body, key=key)
        assert (first.status_code, first.json()["status"]) == (202, "open")
    same = api.post(path, body)
    assert (same.status_code, same.json()["code"]) == (403, "four_eyes")
    second = api.post(path, body, token=mint("chief"))
    assert (second.status_code, second.json()["status"]) == (200, "resolved")
    told = second.json()["resolution"]
    assert (told["actor"], told["approved_by"]) == ("tester", "chief")
    assert api.post(path, body, key=key).json() == second.json()


def test_of_several_actions_at_once_one_repairs_and_the_others_are_refused(
    api: Api, sandbox: Sandbox, day: date
) -> None:
    one = broken(api, sandbox, day, "amount")
    path = f"/v1/breaks/{one['id']}/resolve"

    def ask(action: str) -> httpx.Response:
        return api.post(path, {"action": action, "reason": "at once"}, token=mint(action))

    with ThreadPoolExecutor() as pool:
        asked = list(pool.map(ask, ("post", "accept", "write_off")))
    (won,) = [answer for answer in asked if answer.status_code == 200]
    lost = [answer for answer in asked if answer is not won]
    assert {(answer.status_code, answer.json()["code"]) for answer in lost} == {
        (409, "break_not_open")
    }
    assert api.get(f"/v1/breaks/{one['id']}").json() == won.json()


def test_word_that_was_taken_back_is_not_asked_for_again_by_its_key(
    api: Api, sandbox: Sandbox, day: date
) -> None:
    one = broken(api, sandbox, day, "missing", amount=90_000)
    path, key = f"/v1/breaks/{one['id']}/resolve", fresh_key()
    body = {"action": "write_off", "reason": "lost"}
    assert api.post(path, body, key=key).status_code == 202
    accepted = api.post(path, {"action": "accept", "reason": "found"}, token=mint("chief"))
    assert (accepted.status_code, accepted.json()["resolution"]["actor"]) == (200, "chief")
    assert api.post(path, body, key=key).json() == accepted.json()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"provider": "nobody", "date": "2026-11-24"}, 404, "provider_not_found"),
        ({"provider": "sandbox"}, 422, "validation_failed"),
        ({"provider": "sandbox", "date": "2026-02-30"}, 422, "validation_failed"),
        ({"provider": "sandbox", "date": "9999-12-31"}, 422, "validation_failed"),
        ({"provider": "sandbox", "date": "20261124"}, 422, "validation_failed"),
        ({"provider": "sandbox", "date": 20261124}, 422, "validation_failed"),
        ({"provider": "sandbox", "date": "2026-11-24", "n": 1}, 422, "validation_failed"),
    ],
)
def test_reconciliation_of_nonsense_is_refused(
    api: Api, body: dict[str, Any], status: int, code: str
) -> None:
    answer = api.post("/v1/reconciliations", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_what_is_nobodys_is_not_there_for_a_merchant(api: Api) -> None:
    bound = mint("shop", merchant_id="mer_demo")
    assert api.get("/v1/breaks", token=bound).json() == {"data": [], "next_cursor": None}
    assert api.get("/v1/reconciliations", token=bound).json()["data"] == []
    unknown = "brk_01JDZ8K3T5W6X7Y8Z9A0B1C2D3"
    assert api.get(f"/v1/breaks/{unknown}").status_code == 404
    body = {"provider": "sandbox", "date": "2026-11-24"}
    refused = api.post("/v1/reconciliations", body, token=bound)
    assert (refused.status_code, refused.json()["code"]) == (403, "merchant_bound")
