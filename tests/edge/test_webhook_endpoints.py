"""Webhook endpoints over HTTP: the contract, secrets once, refusals, other merchants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from standardwebhooks import Webhook

from recompense.persistence.database import Database
from recompense.vault import Vault
from recompense.webhooks.courier import Courier
from recompense.webhooks.sending import Sender
from tests.edge.test_payments import PAYMENT
from tests.support.api import VAULT_KEY, Api, fresh_key, make_parts, mint, served
from tests.support.stack import eventually
from tests.support.webhook_receiver import receiving_webhooks

PATH = "/v1/webhook-endpoints"
URL = "https://shop.example/hooks"
BODY: dict[str, Any] = {"url": URL, "events": ["*"]}
FIELDS = {"id", "url", "events", "merchant_id", "status", "created_at"}
BAD_BODIES = [
    ({}, "url"),
    ({"url": URL}, "events"),
    (BODY | {"events": []}, "events"),
    (BODY | {"events": "*"}, "events"),
    (BODY | {"events": ["payment.paid"]}, "events"),
    (BODY | {"events": ["payment.captured", "webhook_endpoint.test"]}, "events"),
    (BODY | {"events": [1]}, "events"),
    (BODY | {"url": 1}, "url"),
    (BODY | {"url": ""}, "url"),
    (BODY | {"url": "http://shop.example/"}, "url"),
    (BODY | {"url": "https://user:secret@shop.example/"}, "url"),
    (BODY | {"url": "https://127.0.0.1/"}, "url"),
    (BODY | {"url": "https://localhost/"}, "url"),
    (BODY | {"url": "https://[::ffff:10.0.0.1]/"}, "url"),
    (BODY | {"url": "https://shop.example/#x"}, "url"),
    (BODY | {"url": "https://shop.example/" + "x" * 2048}, "url"),
    (BODY | {"merchant_id": "demo"}, "merchant_id"),
    (BODY | {"secret": "whsec_mine"}, "secret"),
]


@pytest.fixture
def merchant(api: Api) -> str:
    """A merchant of this test's own."""
    merchant_id: str = api.post("/v1/merchants", {"name": "Shop", "country": "DE"}).json()["id"]
    return merchant_id


@pytest.fixture(scope="module")
def open_api(api: Api) -> Iterator[Api]:
    """The same API where deliveries may go to this machine."""
    parts = lambda: make_parts(  # noqa: E731 - read once, below
        api.database_url, api.temporal_address, allow_private_targets=True
    )
    with served(parts) as running:
        yield running


def _counts(api: Api) -> tuple[int, ...]:
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM webhook_endpoints),"
            " (SELECT count(*) FROM webhook_deliveries)"
        ).fetchone()
    assert row is not None
    return tuple(row)


def test_endpoint_is_made_shown_listed_and_deleted(api: Api, merchant: str) -> None:
    body = BODY | {"events": ["payment.captured", "payment.captured"], "merchant_id": merchant}
    made = api.post(PATH, body)
    assert made.status_code == 201
    endpoint = made.json()
    assert set(endpoint) == FIELDS | {"secret"}
    secret = endpoint.pop("secret")
    assert secret.startswith("whsec_")
    assert endpoint["events"] == ["payment.captured"]
    assert (endpoint["url"], endpoint["merchant_id"]) == (URL, merchant)
    assert endpoint["status"] == "enabled"
    path = made.headers["Location"]
    assert path == f"{PATH}/{endpoint['id']}"
    assert api.get(path).json() == endpoint
    listed = api.get(PATH, params={"merchant_id": merchant}).json()
    assert listed == {"data": [endpoint], "next_cursor": None}
    token = {"Authorization": f"Bearer {mint()}"}
    assert api.http.delete(path, headers=token).status_code == 204
    for answer in (
        api.http.delete(path, headers=token),
        api.get(path),
        *(api.post(f"{path}/{act}") for act in ("test", "rotate", "enable")),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert api.get(PATH, params={"merchant_id": merchant}).json()["data"] == []


def test_list_is_paged_newest_first(api: Api, merchant: str) -> None:
    body = BODY | {"merchant_id": merchant}
    made = [api.post(PATH, body).json()["id"] for _ in range(3)]
    first = api.get(PATH, params={"merchant_id": merchant, "limit": 2}).json()
    assert [one["id"] for one in first["data"]] == [made[2], made[1]]
    query = {"merchant_id": merchant, "limit": 2, "cursor": first["next_cursor"]}
    second = api.get(PATH, params=query).json()
    assert [one["id"] for one in second["data"]] == [made[0]]
    assert second["next_cursor"] is None
    disabled = api.get(PATH, params={"merchant_id": merchant, "status": "disabled"}).json()
    assert disabled["data"] == []


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
def test_bad_body_is_refused_and_changes_nothing(
    api: Api, body: dict[str, Any], field: str
) -> None:
    before = _counts(api)
    answer = api.post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert any(field in error["field"] for error in answer.json()["errors"])
    assert "user:secret" not in answer.text
    assert _counts(api) == before


def test_unknown_merchant_is_404(api: Api) -> None:
    answer = api.post(PATH, BODY | {"merchant_id": "mer_nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, "merchant_not_found")


def test_bound_token_is_404_until_its_merchant_is_there(api: Api) -> None:
    merchant_id, key = f"mer_{fresh_key()}", fresh_key()
    early = mint("early", merchant_id=merchant_id)
    for body in (BODY, BODY | {"merchant_id": merchant_id}, BODY):
        answer = api.post(PATH, body, key=key, token=early)
        assert (answer.status_code, answer.json()["code"]) == (404, "merchant_not_found")
    api.post("/v1/merchants", {"id": merchant_id, "name": "Shop", "country": "DE"})
    made = api.post(PATH, BODY, key=key, token=early)
    assert (made.status_code, made.json()["merchant_id"]) == (201, merchant_id)


def test_secret_is_shown_by_the_first_answer_and_its_replays_only(api: Api, merchant: str) -> None:
    key, body = fresh_key(), BODY | {"merchant_id": merchant}
    made = api.post(PATH, body, key=key)
    again = api.post(PATH, body, key=key)
    assert (again.status_code, again.json()) == (201, made.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == made.headers["Location"]
    assert len(api.get(PATH, params={"merchant_id": merchant}).json()["data"]) == 1
    secret = made.json()["secret"]
    assert "secret" not in api.get(made.headers["Location"]).json()
    _assert_kept_nowhere(api, secret)


def test_sixteen_requests_with_one_key_make_one_endpoint(api: Api, merchant: str) -> None:
    key, body = fresh_key(), BODY | {"merchant_id": merchant}
    with ThreadPoolExecutor(16) as callers:
        told = list(callers.map(lambda _: api.post(path=PATH, body=body, key=key), range(16)))
    assert {answer.status_code for answer in told} <= {201, 409}
    made = {answer.text for answer in told if answer.status_code == 201}
    assert len(made) == 1
    open_still = {answer.json()["code"] for answer in told if answer.status_code == 409}
    assert open_still <= {"idempotency_key_in_use"}
    assert len(api.get(PATH, params={"merchant_id": merchant}).json()["data"]) == 1


@pytest.mark.parametrize("act", ["", "/rotate", "/enable", "/test", "redeliver"])
def test_each_post_wants_a_key_and_the_same_body_again(api: Api, merchant: str, act: str) -> None:
    own = mint("own", merchant_id=merchant)
    made = api.post(PATH, BODY, token=own).json()
    path = f"{PATH}/{made['id']}{act}" if act else PATH
    if act == "redeliver":
        event = api.post(f"{PATH}/{made['id']}/test", token=own).json()["id"]
        path = f"/v1/events/{event}/redeliver"
    headers = {"Authorization": f"Bearer {own}"}
    without = api.http.post(path, json={}, headers=headers)
    assert (without.status_code, without.json()["code"]) == (400, "idempotency_key_missing")
    body, key = ({} if act else BODY), fresh_key()
    first = api.post(path, body, key=key, token=own)
    assert first.status_code in {200, 201, 202}
    other = {"rotate": {"overlap_hours": 2}, "redeliver": {"endpoint_id": made["id"]}}
    changed = other.get(act.strip("/"), BODY | {"url": URL + "/2"})
    if act in {"", "/rotate", "redeliver"}:
        reused = api.post(path, changed, key=key, token=own)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    unknown = api.post(path, body | {"surprise": 1}, token=own)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "validation_failed")


def test_rotation_gives_a_new_secret_once_for_its_key(api: Api, merchant: str) -> None:
    made = api.post(PATH, BODY | {"merchant_id": merchant}).json()
    path, key = f"{PATH}/{made['id']}/rotate", fresh_key()
    rotated = api.post(path, {"overlap_hours": 1}, key=key)
    assert rotated.status_code == 200
    assert set(rotated.json()) == FIELDS | {"secret"}
    assert rotated.json()["secret"] != made["secret"]
    assert api.post(path, {"overlap_hours": 1}, key=key).json() == rotated.json()
    _assert_kept_nowhere(api, rotated.json()["secret"])
    for overlap in (-1, 169, "1", 1.5):
        refused = api.post(path, {"overlap_hours": overlap})
        assert refused.json()["code"] == "validation_failed"


def _assert_kept_nowhere(api: Api, secret: str) -> None:
    """In no table at all, neither with its prefix nor without."""
    bare = secret.removeprefix("whsec_")
    with psycopg.connect(api.database_url) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            counted = sql.SQL("SELECT count(*) FROM {} AS t WHERE CAST(t AS text) LIKE %s")
            found = connection.execute(
                counted.format(sql.Identifier(table)), [f"%{bare}%"]
            ).fetchone()
            assert found == (0,), table


def test_merchants_endpoints_and_events_are_not_there_for_another(api: Api, merchant: str) -> None:
    own = mint("own", merchant_id=merchant)
    made = api.post(PATH, BODY, token=own).json()
    assert made["merchant_id"] == merchant
    platform = api.post(PATH, BODY).json()
    assert platform["merchant_id"] is None
    event = api.post(f"{PATH}/{made['id']}/test", token=own).json()["id"]
    stranger = mint("stranger", merchant_id="mer_demo")
    for token, endpoint in ((stranger, made["id"]), (own, platform["id"])):
        path = f"{PATH}/{endpoint}"
        header = {"Authorization": f"Bearer {token}"}
        assert api.get(path, token=token).status_code == 404
        assert api.http.delete(path, headers=header).status_code == 404
        for act in ("test", "rotate", "enable"):
            assert api.post(f"{path}/{act}", token=token).status_code == 404, act
    for path in (f"/v1/events/{event}/redeliver",):
        assert api.post(path, token=stranger).status_code == 404
        asked = api.post(path, {"endpoint_id": platform["id"]}, token=own)
        assert asked.status_code == 404
    assert api.get(f"/v1/events/{event}/deliveries", token=stranger).status_code == 404
    seen = api.get(PATH, token=stranger, params={"limit": 100}).json()["data"]
    assert made["id"] not in {one["id"] for one in seen}
    theirs = api.post(PATH, BODY | {"merchant_id": merchant}, token=stranger)
    assert (theirs.status_code, theirs.json()["code"]) == (404, "merchant_not_found")


def test_test_event_and_redelivery_are_asked_for_once_for_each_key(api: Api, merchant: str) -> None:
    made = api.post(PATH, BODY | {"merchant_id": merchant}).json()
    key, path = fresh_key(), f"{PATH}/{made['id']}/test"
    asked = api.post(path, key=key)
    assert asked.status_code == 202
    event = asked.json()
    assert event["type"] == "webhook_endpoint.test"
    assert event["data"]["object"]["id"] == made["id"]
    assert [one["state"] for one in event["deliveries"]] == ["pending"]
    assert api.post(path, key=key).json()["id"] == event["id"]
    stands = api.get(asked.headers["Location"]).json()
    assert stands["data"] == event["deliveries"]
    key, path = fresh_key(), f"/v1/events/{event['id']}/redeliver"
    before = _claims(api, event["id"])
    for _ in range(2):
        assert api.post(path, key=key).status_code == 202
    assert _claims(api, event["id"]) == before + 1
    unknown = api.post("/v1/events/evt_01ARZ3NDEKTSV4RRFFQ69G5FAV/redeliver")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def _claims(api: Api, event_id: str) -> int:
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute(
            "SELECT claims FROM webhook_deliveries WHERE event_id = %s", [event_id]
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_disabled_endpoint_takes_no_test_event_until_it_is_enabled(api: Api, merchant: str) -> None:
    made = api.post(PATH, BODY | {"merchant_id": merchant}).json()
    path = f"{PATH}/{made['id']}"
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE webhook_endpoints SET status = 'disabled' WHERE id = %s", [made["id"]]
        )
    refused = api.post(f"{path}/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_endpoint_disabled")
    enabled = api.post(f"{path}/enable")
    assert (enabled.status_code, enabled.json()["status"]) == (200, "enabled")
    assert api.post(f"{path}/enable").json() == enabled.json()
    assert api.post(f"{path}/test").status_code == 202


def test_number_of_a_merchants_endpoints_is_bounded(api: Api, merchant: str) -> None:
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "INSERT INTO webhook_endpoints (id, merchant_id, url, events, secret, created_by)"
            " SELECT %s || n, %s, %s, '{*}', 's', 't' FROM generate_series(1, 100) AS n",
            [f"whe_{merchant}", merchant, URL],
        )
    answer = api.post(PATH, BODY | {"merchant_id": merchant})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhook_endpoints")
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE webhook_endpoints SET status = 'deleted', secret = NULL WHERE merchant_id = %s",
            [merchant],
        )
    assert api.post(PATH, BODY | {"merchant_id": merchant}).status_code == 201


def test_one_payments_events_arrive_in_their_words(api: Api, open_api: Api, merchant: str) -> None:
    """Each delivery is what the feed shows, signed with the secret that was shown once."""
    with receiving_webhooks() as receiver:
        _disable_all(api)
        own = mint("own", merchant_id=merchant)
        made = open_api.post(PATH, BODY | {"url": receiver.url}, token=own).json()
        payment = api.post("/v1/payments", PAYMENT | {"merchant_id": merchant}).json()
        api.post(f"/v1/payments/{payment['id']}/captures")
        wanted = {"payment.authorized", "capture.succeeded", "payment.captured"}

        def of_the_payment() -> dict[str, Any]:
            found = {}
            for one in list(receiver.deliveries):
                shown = Webhook(made["secret"]).verify(one.body, one.headers)
                assert one.headers["webhook-id"] == shown["id"]
                thing = shown["data"]["object"]
                if payment["id"] in (thing.get("id"), thing.get("payment_id")):
                    found[shown["type"]] = shown
            return found

        with _courier(api):
            eventually(lambda: wanted <= set(of_the_payment()), "the payment's events")
        arrived = of_the_payment()
    assert arrived["payment.authorized"]["data"]["object"]["status"] == "authorized"
    assert arrived["payment.captured"]["data"]["object"]["amount_captured"] == PAYMENT["amount"]
    event_id = arrived["payment.captured"]["id"]
    (delivery,) = api.get(f"/v1/events/{event_id}/deliveries", token=own).json()["data"]
    assert (delivery["state"], delivery["last_status"]) == ("delivered", 200)
    feed = api.get("/v1/events", params={"limit": 100}, token=own).json()["data"]
    assert arrived["payment.captured"] in feed


def _disable_all(api: Api) -> None:
    """Other tests' endpoints lead nowhere: the courier of this one leaves them alone."""
    with psycopg.connect(api.database_url) as connection:
        connection.execute(
            "UPDATE webhook_endpoints SET status = 'disabled' WHERE status = 'enabled'"
        )


@contextmanager
def _courier(api: Api) -> Iterator[None]:
    """A courier beside the test, in a thread of its own."""
    stop = threading.Event()

    async def work() -> None:
        database, sender = Database(api.database_url), Sender(allow_private=True)
        told = asyncio.Event()
        waiting = asyncio.create_task(asyncio.to_thread(stop.wait))
        waiting.add_done_callback(lambda _: told.set())
        await Courier(database, Vault([VAULT_KEY]), sender).run(told)
        await sender.aclose()
        await database.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
