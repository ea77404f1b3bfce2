"""Payout runs by HTTP: made once, approved by a second person, read while their payouts move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, fresh_key, mint
from tests.support.stack import eventually

DAY = "2026-11-27"
RUNS = "/v1/payout-runs"
CHECKER = mint("checker")


@pytest.fixture
def name() -> str:
    """A run's name that no other test uses."""
    return f"run-{uuid4().hex[:12]}"


def shop(api: Api, schedule: str, token: str | None = "tok_ok", **terms: Any) -> str:  # noqa: S107 - a bank token
    """A merchant of this schedule with 12.34 EUR."""
    payout: dict[str, Any] = {"schedule": schedule, **terms}
    if token is not None:
        payout["destination"] = {"type": "bank_token", "token": token}
    merchant = {"name": "Shop", "country": "DE", "payout": payout}
    made = api.post("/v1/merchants", merchant | {"availability": {"rule": "on_capture"}})
    assert made.status_code == 201, made.text
    merchant_id = str(made.json()["id"])
    paid = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
    assert api.post("/v1/payments", paid).json()["status"] == "captured"
    return merchant_id


def made(api: Api, name: str, **body: Any) -> Any:
    """A run of this name."""
    answer = api.post(RUNS, {"name": name, "business_date": DAY, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def status_of(api: Api, run_id: str) -> Any:
    return api.get(f"{RUNS}/{run_id}").json()["status"]


def until(api: Api, run_id: str, **wanted: Any) -> Any:
    """The run once it shows these values."""

    def shows() -> bool:
        run = api.get(f"{RUNS}/{run_id}").json()
        return all(run[field] == value for field, value in wanted.items())

    eventually(shows, f"{run_id} shows {wanted}")
    return api.get(f"{RUNS}/{run_id}").json()


def test_a_run_is_approved_by_a_second_person_and_pays(api: Api, name: str) -> None:
    merchants = {shop(api, name), shop(api, name), shop(api, name, minimum=1234)}
    shop(api, name, minimum={"EUR": 1235})
    run = made(api, name)
    assert (run["object"], run["status"], run["items_count"]) == (
        "payout_run",
        "awaiting_approval",
        3,
    )
    assert (run["amount_total"], run["paid_count"], run["amount_paid"]) == ({"EUR": 3702}, 0, {})
    path = f"{RUNS}/{run['id']}"
    own = api.post(f"{path}/approve")
    assert (own.status_code, own.json()["code"]) == (403, "four_eyes")
    approved = api.post(f"{path}/approve", {"reason": "checked"}, token=CHECKER)
    assert (approved.status_code, approved.json()["status"]) == (200, "running")
    done = until(api, run["id"], status="completed", paid_count=3)
    assert (done["failed_count"], done["amount_paid"]) == (0, {"EUR": 3702})
    items = api.get(f"{path}/items").json()["data"]
    assert {item["merchant_id"] for item in items} == merchants
    for item in items:
        payout = api.get(f"/v1/payouts/{item['payout_id']}").json()
        assert (payout["run_id"], payout["amount"], item["status"]) == (run["id"], 1234, "paid")
    late = api.post(f"{path}/reject", {"reason": "late"}, token=CHECKER)
    assert (late.status_code, late.json()["code"]) == (409, "payout_run_not_awaiting_approval")


def test_a_rejected_run_leaves_the_money(api: Api, name: str) -> None:
    merchant = shop(api, name)
    path = f"{RUNS}/{made(api, name)['id']}"
    assert api.post(f"{path}/reject", {}, token=CHECKER).status_code == 422
    rejected = api.post(f"{path}/reject", {"reason": "too much"}, token=CHECKER)
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    [item] = api.get(f"{path}/items").json()["data"]
    assert item["status"] == "rejected"
    [balance] = api.get(f"/v1/merchants/{merchant}/balances").json()["data"]
    assert balance["available"] == 1234
    types = {event["type"] for event in events_of(api, path.rpartition("/")[2])}
    assert types == {"payout_run.awaiting_approval", "payout_run.rejected"}


def events_of(api: Api, run_id: str) -> list[Any]:
    """The run's events, once they may be read."""
    found: list[Any] = []

    def told() -> bool:
        found.clear()
        after = None
        while True:
            query = {"limit": 100} | ({"after": after} if after else {})
            page = api.get("/v1/events", params=query).json()["data"]
            found.extend(one for one in page if one["data"]["object"].get("id") == run_id)
            if len(page) < 100:
                return len(found) >= 2
            after = page[-1]["id"]

    eventually(told, f"two events of {run_id}")
    return found


@pytest.mark.parametrize(
    ("first", "second"), [({}, {"currency": "EUR"}), ({"currency": "EUR"}, {})]
)
def test_a_date_is_run_once_whoever_asks(
    api: Api, name: str, first: dict[str, str], second: dict[str, str]
) -> None:
    run = made(api, name, **first)
    for body in (first, second):
        again = api.post(RUNS, {"name": name, "business_date": DAY, **body}, token=CHECKER)
        assert (again.status_code, again.json()["code"]) == (409, "payout_run_exists")
        assert again.json()["payout_run_id"] == run["id"]
    assert made(api, name, business_date="2026-11-30", **second)["id"] != run["id"]


def test_a_key_makes_one_run(api: Api, name: str) -> None:
    key, body = fresh_key(), {"name": name, "business_date": DAY}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(RUNS, body, key=key), range(8)))
    made_ids = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made_ids) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = api.post(RUNS, body, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert {again.json()["id"]} == made_ids


def test_starters_that_race_are_told_of_one_run(api: Api, name: str) -> None:
    body = {"name": name, "business_date": DAY}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(RUNS, body), range(8)))
    [winner] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    losers = [answer.json() for answer in answers if answer.status_code == 409]
    assert len(losers) == 7
    assert {one["payout_run_id"] for one in losers} == {winner}


def test_a_run_is_there_before_its_first_step(api: Api, name: str) -> None:
    accepted = api.post(RUNS, {"name": name, "business_date": DAY}, headers={"Prefer": "wait=0"})
    assert accepted.status_code in {201, 202}
    assert api.get(accepted.headers["Location"]).json()["id"] == accepted.json()["id"]
    until(api, accepted.json()["id"], status="awaiting_approval")


def test_failed_items_alone_are_paid_again(api: Api, name: str) -> None:
    good, closed = shop(api, name), shop(api, name, token="tok_closed_account")
    nowhere = shop(api, name, token=None)
    run = made(api, name)
    path = f"{RUNS}/{run['id']}"
    early = api.post(f"{path}/resume", {"reason": "is anybody there"})
    assert (early.status_code, early.json()["status"]) == (200, "awaiting_approval")
    api.post(f"{path}/approve", token=CHECKER)
    ended = until(api, run["id"], status="completed_with_failures", paid_count=1)
    assert ended["failed_count"] == 2
    before = {item["merchant_id"]: item for item in api.get(f"{path}/items").json()["data"]}
    assert before[nowhere]["failure"]["code"] == "payout_destination_missing"
    assert before[closed]["status"] == "failed"
    resumed = api.post(f"{path}/resume", {"reason": "the account is open again"})
    assert (resumed.status_code, resumed.json()["status"]) == (200, "running")
    until(api, run["id"], status="completed_with_failures")
    after = {item["merchant_id"]: item for item in api.get(f"{path}/items").json()["data"]}
    assert after[good] == before[good]
    assert after[closed]["payout_id"] != before[closed]["payout_id"]
    paid = api.get("/v1/payouts", params={"merchant_id": good}).json()["data"]
    assert len(paid) == 1


def test_a_run_without_failures_is_not_resumed(api: Api, name: str) -> None:
    shop(api, name)
    run = made(api, name)
    api.post(f"{RUNS}/{run['id']}/approve", token=CHECKER)
    until(api, run["id"], status="completed")
    refused = api.post(f"{RUNS}/{run['id']}/resume", {"reason": "more"})
    assert (refused.status_code, refused.json()["code"]) == (409, "payout_run_nothing_to_resume")


def test_runs_are_listed_newest_first(api: Api, name: str) -> None:
    ids = [made(api, name, business_date=f"2026-12-0{day}")["id"] for day in range(1, 6)]
    first = api.get(RUNS, params={"name": name, "limit": 3}).json()
    rest = api.get(RUNS, params={"name": name, "limit": 3, "cursor": first["next_cursor"]}).json()
    assert [run["id"] for run in first["data"] + rest["data"]] == ids[::-1]
    assert rest["next_cursor"] is None
    api.post(f"{RUNS}/{ids[0]}/reject", {"reason": "no"}, token=CHECKER)
    rejected = api.get(RUNS, params={"name": name, "status": "rejected"}).json()["data"]
    assert [run["id"] for run in rejected] == ids[:1]
    dated = api.get(RUNS, params={"name": name, "business_date": "2026-12-02"}).json()["data"]
    assert [run["id"] for run in dated] == ids[1:2]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Daily", "business_date": DAY},
        {"name": "", "business_date": DAY},
        {"name": "a" * 41, "business_date": DAY},
        {"name": "a/b", "business_date": DAY},
        {"name": "daily", "business_date": "27.11.2026"},
        {"name": "daily", "business_date": "2026-02-30"},
        {"name": "daily", "business_date": "1999-12-31"},
        {"name": "daily", "business_date": 20261127},
        {"name": "daily", "business_date": f"{DAY}T00:00:00Z"},
        {"name": "daily", "business_date": DAY, "currency": "eur"},
        {"name": "daily", "business_date": DAY, "currency": "XXX"},
        {"name": "daily", "business_date": DAY, "merchant": "mer_demo"},
        {"business_date": DAY},
        {"name": "daily"},
    ],
)
def test_a_body_that_is_not_valid_makes_no_run(api: Api, body: dict[str, Any]) -> None:
    answer = api.post(RUNS, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_a_merchant_has_no_part_in_runs(api: Api, name: str) -> None:
    run = made(api, name)
    bound = mint("shop", merchant_id="mer_demo")
    assert api.get(RUNS, token=bound).json() == {"data": [], "next_cursor": None}
    for path in (f"{RUNS}/{run['id']}", f"{RUNS}/{run['id']}/items"):
        assert api.get(path, token=bound).status_code == 404
    body = {"name": name, "business_date": "2026-11-30"}
    for answer in (
        api.post(RUNS, body, token=bound),
        api.post(f"{RUNS}/{run['id']}/approve", token=bound),
        api.post(f"{RUNS}/{run['id']}/resume", {"reason": "mine"}, token=bound),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "merchant_bound")
    assert status_of(api, run["id"]) == "awaiting_approval"


@pytest.mark.parametrize("action", ["approve", "reject", "resume"])
def test_an_unknown_run_is_not_found(api: Api, action: str) -> None:
    for run_id in ("run_01ARZ3NDEKTSV4RRFFQ69G5FAV", "run_x"):
        answer = api.post(f"{RUNS}/{run_id}/{action}", {"reason": "which"})
        assert answer.status_code == 404
        assert api.get(f"{RUNS}/{run_id}").status_code == 404
