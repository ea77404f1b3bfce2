"""What can be read: pages that hold still, the feed, the timeline, the books, the docs."""

from __future__ import annotations

import re
from typing import Any

import httpx
import psycopg
import pytest

from activities.breakers import BreakerTable
from adapters.breaker import CLOSED, OperationClass, held_open
from api.pages import cursor_of
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.database import Database
from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint
from tests.support.stack import eventually


def test_pages_hold_still_while_rows_are_added(api: Api) -> None:
    merchant_id = _merchant(api)
    body = PAYMENT | {"merchant_id": merchant_id}
    made = [api.post("/v1/payments", body).json()["id"] for _ in range(5)]
    query: dict[str, Any] = {"merchant_id": merchant_id, "limit": 2}
    first = api.get("/v1/payments", params=query).json()
    assert [one["id"] for one in first["data"]] == [made[4], made[3]]
    api.post("/v1/payments", body)
    second = api.get("/v1/payments", params=query | {"cursor": first["next_cursor"]}).json()
    third = api.get("/v1/payments", params=query | {"cursor": second["next_cursor"]}).json()
    rest = [one["id"] for one in second["data"] + third["data"]]
    assert rest == [made[2], made[1], made[0]]
    assert third["next_cursor"] is None


def test_lists_are_narrowed(api: Api) -> None:
    merchant_id = _merchant(api)
    body = PAYMENT | {"merchant_id": merchant_id}
    payment = api.post("/v1/payments", body).json()
    for query, found in (
        ({"status": "authorized"}, 1),
        ({"status": "captured"}, 0),
        ({"created_after": payment["created_at"]}, 0),
        ({"created_before": "2020-01-01T00:00:00Z"}, 0),
        ({"created_after": "2020-01-01T00:00:00+01:00"}, 1),
    ):
        listed = api.get("/v1/payments", params={"merchant_id": merchant_id, **query}).json()
        assert len(listed["data"]) == found, query


def test_feed_is_read_to_its_end_in_order_and_without_gaps(api: Api) -> None:
    merchant_id = _merchant(api)
    reader = mint("reader", merchant_id=merchant_id)
    payment = api.post("/v1/payments", PAYMENT | {"merchant_id": merchant_id}).json()
    api.post(f"/v1/payments/{payment['id']}/captures", {"amount": 1000})
    api.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1})

    def read(query: dict[str, Any]) -> dict[str, Any]:
        page: dict[str, Any] = api.get("/v1/events", params=query, token=reader).json()
        return page

    # The feed holds back what a transaction anywhere on the server might still precede.
    eventually(
        lambda: "refund.succeeded" in {event["type"] for event in read({"limit": 100})["data"]},
        "the events of the refund",
    )
    seen, after = [], None
    while True:
        query = {"limit": 1} | ({"after": after} if after else {})
        page = read(query)
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        after = page["next_cursor"]
    whole = read({"limit": 100})["data"]
    assert seen == whole
    types = [event["type"] for event in seen]
    assert types[0] == "payment.authorized"
    assert {"capture.succeeded", "refund.succeeded"} <= set(types)
    assert all(set(event) == {"id", "type", "timestamp", "data"} for event in seen)
    assert seen[0]["data"]["object"]["id"] == payment["id"]


def test_feed_never_passes_an_event_that_commits_late(api: Api) -> None:
    merchant_id = _merchant(api)
    reader = mint("reader", merchant_id=merchant_id)

    def read() -> list[str]:
        data = api.get("/v1/events", params={"limit": 100}, token=reader).json()["data"]
        return [event["id"] for event in data]

    with (
        psycopg.connect(api.database_url) as slow,
        psycopg.connect(api.database_url) as fast,
    ):
        late, early = new_id(IdPrefix.EVENT), new_id(IdPrefix.EVENT)
        insert = "INSERT INTO events (id, type, merchant_id, data) VALUES (%s, 'test', %s, '{}')"
        slow.execute(insert, (late, merchant_id))
        fast.execute(insert, (early, merchant_id))
        fast.commit()
        assert read() == []
        slow.commit()

    def both_are_read() -> bool:
        seen = read()
        assert seen == [late, early][: len(seen)]
        return len(seen) == 2

    # Ids are the whole server's: a test beside this one may hold either event back for a moment.
    eventually(both_are_read, "the events of both transactions")


def test_timeline_tells_the_whole_life_in_order(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    capture_id = api.post(f"/v1/payments/{payment_id}/captures").json()["id"]
    path = f"/v1/payments/{payment_id}/timeline"
    rows = api.get(path, params={"limit": 100}).json()["data"]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert {"saga_run", "attempt", "step", "provider_call", "ledger", "event"} <= {
        row["kind"] for row in rows
    }
    assert {f"authorize/{payment_id}", f"capture/{capture_id}"} <= {
        row["workflow_id"] for row in rows
    }
    paged, cursor = [], None
    while True:
        page = api.get(path, params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        paged += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == rows


def test_timeline_skips_no_row_when_an_outcome_becomes_final_between_two_pages(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    api.post(f"/v1/payments/{payment_id}/captures")
    path = f"/v1/payments/{payment_id}/timeline"
    before = api.get(path, params={"limit": 100}).json()["data"]
    place, known = next(
        (place, row)
        for place, row in enumerate(before)
        if (row["kind"], row["outcome"]) == ("step", "approved")
    )
    _write_outcome(api, known["effect_key"], kind="pending", final=False)
    first = api.get(path, params={"limit": place + 1}).json()
    assert first["data"][-1]["outcome"] == "pending"
    _write_outcome(api, known["effect_key"], kind="approved", final=True)
    rest = api.get(path, params={"limit": 100, "cursor": first["next_cursor"]}).json()
    seen = first["data"] + rest["data"]
    assert [row for row in before if row not in seen] == [known]
    assert sum(row | {"at": known["at"]} == known for row in rest["data"]) == 1


@pytest.mark.parametrize(
    "place",
    [
        "3",
        "2026-11-24T00:00:00+00:00 1",
        "2026-11-24T00:00:00 1 x",
        "2026-11-24+00:00 1 x",
        "2026-11-24T00:00:00+01:00 1 x",
        "2026-11-24T00:00:00+00:00 -1 x",
        "2026-11-24T00:00:00+00:00 100 x",
        "yesterday 1 x",
    ],
)
def test_timeline_refuses_a_cursor_that_it_has_not_given_out(api: Api, place: str) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    query = {"cursor": cursor_of(place)}
    answer = api.get(f"/v1/payments/{payment_id}/timeline", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


def test_books_are_shown_and_balance(api: Api) -> None:
    merchant_id = _merchant(api)
    body = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
    assert api.post("/v1/payments", body).json()["status"] == "captured"
    balances = api.get(f"/v1/merchants/{merchant_id}/balances").json()
    assert balances == {
        "data": [
            {"currency": "EUR", "pending": 0, "available": 1234, "reserve": 0, "in_transit": 0}
        ]
    }
    account = f"/v1/ledger/accounts/merchant:{merchant_id}:available"
    (balance,) = api.get(account, params={"currency": "EUR"}).json()["data"]
    assert (balance["balance"], balance["kind"]) == (1234, "liability")
    assert api.get(account, params={"currency": "USD"}).json() == {"data": []}
    assert api.get(account, params={"at": "2020-01-01T00:00:00Z"}).json() == {"data": []}
    entries = api.get(f"{account}/entries", params={"limit": 1}).json()
    assert entries["data"][0]["direction"] == "credit"
    trial = api.get("/v1/ledger/trial-balance").json()
    assert set(trial) == {"data", "at"}
    for row in trial["data"]:
        assert row["debits_posted"] == row["credits_posted"]
        assert row["debits_pending"] == row["credits_pending"]


def test_entries_are_paged_to_the_end(api: Api) -> None:
    merchant_id = _merchant(api)
    body = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
    for _ in range(3):
        api.post("/v1/payments", body)
    path = f"/v1/ledger/accounts/merchant:{merchant_id}:available/entries"
    ids, cursor = [], None
    while True:
        page = api.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        ids += [entry["id"] for entry in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == 3


def test_providers_show_what_they_can_do_and_how_they_are(api: Api) -> None:
    (provider,) = api.get("/v1/providers").json()["data"]
    assert set(provider) == {"name", "capabilities", "policies", "breaker", "health"}
    assert (provider["name"], provider["health"]) == ("sandbox", "up")
    assert provider["policies"]["calls"]["authorize"]["maximum_attempts"] >= 1


async def test_breaker_that_is_held_open_by_hand_is_shown(api: Api) -> None:
    database = Database(api.database_url)
    table = BreakerTable(database)
    await table.update("sandbox", OperationClass.READS, lambda _: held_open())
    (provider,) = api.get("/v1/providers").json()["data"]
    assert provider["breaker"]["reads"]["phase"] == "held_open"
    assert (provider["breaker"]["cards"]["phase"], provider["health"]) == ("closed", "degraded")
    await table.update("sandbox", OperationClass.READS, lambda _: CLOSED)
    (provider,) = api.get("/v1/providers").json()["data"]
    assert provider["health"] == "up"
    await database.close()


def test_merchant_is_read_as_it_was_made(api: Api) -> None:
    body = {
        "name": "Shop",
        "country": "DE",
        "fees": {"basis_points": 150, "fixed": {"EUR": 25}},
        "payout": {"schedule": "daily", "minimum": 1000},
        "availability": {"rule": "after_days", "days": 2},
        "routing": {"prefer": ["sandbox"], "weights": {"sandbox": 3}},
    }
    made = api.post("/v1/merchants", body)
    shown = api.get(made.headers["Location"]).json()
    assert shown == made.json()
    assert shown["fees"] == {"basis_points": 150, "fixed": {"EUR": 25}}
    assert shown["availability"] == {"rule": "after_days", "days": 2}


def test_docs_are_readable_without_a_network(api: Api) -> None:
    page = api.http.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=['\"]?(https?:)?//|@import|<script", page.text)
    assert "Authorize a payment" in page.text
    assert "idempotency_key_in_use" in page.text


def test_openapi_declares_every_refusal_and_shows_examples(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            declared = set(operation["responses"])
            if path.startswith("/v1"):
                assert operation["security"] == [{"bearer": []}]
                assert {"401", "403", "404", "422", "429", "503"} <= declared, (path, method)
            if path.startswith("/v1") and method == "post":
                assert {"400", "409", "413", "415"} <= declared
                reference = operation["requestBody"]["content"]["application/json"]["schema"][
                    "$ref"
                ]
                schema = document["components"]["schemas"][reference.rpartition("/")[2]]
                assert schema["examples"], path
    references = set(
        re.findall(r'"#/components/schemas/([^"]+)"', api.http.get("/openapi.json").text)
    )
    assert references <= set(document["components"]["schemas"])


def test_process_tells_its_health_and_counts(api: Api) -> None:
    assert api.http.get("/healthz").json() == {"status": "ok"}
    ready = api.http.get("/readyz")
    assert ready.json() == {"status": "ok", "database": True, "temporal": True, "migrations": True}
    counted = api.http.get("/metrics").text
    assert 'recompense_http_requests_total{method="GET",route="/readyz",status="200"}' in counted


def test_request_id_is_on_every_answer_and_the_callers_own_is_kept(api: Api) -> None:
    made = {api.http.get("/healthz").headers["X-Request-Id"] for _ in range(3)}
    assert len(made) == 3
    for given, kept in (("my-request-0001", True), ("short", False), ("4242424242424242", False)):
        answer = api.http.get("/v1/nothing", headers={"X-Request-Id": given})
        assert (answer.headers["X-Request-Id"] == given) is kept
        assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def _write_outcome(api: Api, effect_key: str, *, kind: str, final: bool) -> None:
    """What the journal does to an effect's row when its outcome becomes known, or final."""
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE journal SET outcome_kind = %s, final = %s,"
            " recorded_at = CASE WHEN %s THEN clock_timestamp() ELSE recorded_at END"
            " WHERE effect_key = %s",
            [kind, final, final, effect_key],
        )


def _merchant(api: Api) -> str:
    body = {"name": "Shop", "country": "DE", "availability": {"rule": "on_capture"}}
    answer: httpx.Response = api.post("/v1/merchants", body)
    merchant_id: str = answer.json()["id"]
    return merchant_id
