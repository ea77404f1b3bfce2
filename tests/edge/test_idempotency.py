"""One key, one operation, one answer: the table of the contract, case by case."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from api.bodies import fingerprint
from recompense.contracts.sagas import AuthorizeInput
from recompense.domain.card_numbers import HIDDEN
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.claims import Claims, NewClaim
from recompense.persistence.database import Database
from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, fresh_key, make_parts, mint, served
from tests.support.sandbox import Sandbox, free_port

KEYED_ROUTES = [
    ("/v1/merchants", {"name": "Shop", "country": "DE"}),
    ("/v1/payments", PAYMENT),
    ("/v1/payments/{payment}/captures", {}),
    ("/v1/payments/{payment}/void", {}),
    ("/v1/payments/{payment}/refunds", {}),
    (
        "/v1/payouts",
        {
            "merchant_id": "mer_demo",
            "amount": 1,
            "currency": "EUR",
            "destination": {"type": "bank_token", "token": "tok_ok"},
        },
    ),
    ("/v1/payouts/{payout}/approve", {}),
    ("/v1/payouts/{payout}/reject", {"reason": "no"}),
    ("/v1/payouts/{payout}/cancel", {"reason": "no"}),
    ("/v1/payout-runs", {"name": "keyed", "business_date": "2026-11-27"}),
    ("/v1/payout-runs/{run}/approve", {}),
    ("/v1/payout-runs/{run}/reject", {"reason": "no"}),
    ("/v1/payout-runs/{run}/resume", {"reason": "again"}),
    ("/v1/ops/sagas/authorize%2F{payment}/resolve", {"decision": "retry", "reason": "again"}),
    ("/v1/payments/{payment}/complete", {"parameters": {"redirectResult": "one"}}),
]


@pytest.fixture
def path_of(api: Api) -> Any:
    """Fills a route's template with a payment, a payout and a payout run that are there."""
    payment_id = api.post("/v1/payments", PAYMENT | {"capture_method": "automatic"}).json()["id"]
    payout = api.post("/v1/payouts", dict(KEYED_ROUTES[5][1]))
    payout_id = payout.json().get("id", "po_0")
    run_body = {"name": f"keyed-{uuid4().hex[:8]}", "business_date": "2026-11-27"}
    run_id = api.post("/v1/payout-runs", run_body).json()["id"]
    return lambda template: template.format(payment=payment_id, payout=payout_id, run=run_id)


@pytest.mark.parametrize(("template", "body"), KEYED_ROUTES)
def test_post_without_a_key_is_refused(
    api: Api, path_of: Any, template: str, body: dict[str, Any]
) -> None:
    headers = {"Authorization": f"Bearer {mint()}"}
    answer = api.http.post(path_of(template), json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


@pytest.mark.parametrize(("template", "body"), KEYED_ROUTES)
def test_repeated_post_is_answered_from_the_table(
    api: Api, path_of: Any, template: str, body: dict[str, Any]
) -> None:
    path, key = path_of(template), fresh_key()
    first = api.post(path, body, key=key)
    second = api.post(path, body, key=key)
    assert first.status_code in {200, 201, 403, 409}, first.text
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]


@pytest.mark.parametrize(("template", "body"), KEYED_ROUTES)
def test_key_with_another_body_is_refused(
    api: Api, path_of: Any, template: str, body: dict[str, Any]
) -> None:
    path, key = path_of(template), fresh_key()
    api.post(path, body, key=key)
    changed = body | ({"reason": "another"} if "reason" in body else {})
    if changed == body:
        changed = body | ({"amount": 7} if "name" not in body else {"name": "other"})
    if path.endswith(("/approve", "/void")):
        changed = {"reason": "another"}
    if path.endswith("/complete"):
        changed = {"parameters": {"redirectResult": "another"}}
    answer = api.post(path, changed, key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "a b", "schlüssel", "x" * 256, '"open', '"a"b"', '""'])
def test_malformed_key_is_refused(api: Api, key: str) -> None:
    headers = {b"Authorization": f"Bearer {mint()}".encode(), b"Idempotency-Key": key.encode()}
    answer = api.http.post("/v1/payments", json=PAYMENT, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


def test_key_in_quotes_is_the_same_key(api: Api) -> None:
    key = fresh_key()
    first = api.post("/v1/payments", PAYMENT, key=key)
    second = api.post("/v1/payments", PAYMENT, key=f'"{key}"')
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"


def test_key_order_and_white_space_of_the_body_do_not_count(api: Api) -> None:
    key = fresh_key()
    first = api.post("/v1/payments", PAYMENT, key=key)
    reordered = json.dumps(dict(reversed(PAYMENT.items())), indent=4).encode()
    second = api.post("/v1/payments", key=key, content=reordered)
    assert second.json()["id"] == first.json()["id"]


def test_same_key_of_two_callers_is_two_operations(api: Api) -> None:
    key = fresh_key()
    first = api.post("/v1/payments", PAYMENT, key=key, token=mint("one"))
    second = api.post("/v1/payments", PAYMENT, key=key, token=mint("two"))
    assert first.json()["id"] != second.json()["id"]


def test_renewed_token_of_the_same_subject_finds_its_operation(api: Api) -> None:
    key = fresh_key()
    first = api.post("/v1/payments", PAYMENT, key=key, token=mint("one", jti="a"))
    second = api.post("/v1/payments", PAYMENT, key=key, token=mint("one", jti="b"))
    assert first.json()["id"] == second.json()["id"]


def test_sixteen_at_once_with_one_key_make_one_payment(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.post("/v1/payments", PAYMENT, key=key), range(16)))
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 201}
    assert len(made) == 1
    assert refused <= {"idempotency_key_in_use"}
    assert all(a.headers["Retry-After"] == "1" for a in answers if a.status_code == 409)
    (payment_id,) = made
    assert len(sandbox.effects(payment_id)) == 1


def test_sixteen_at_once_make_one_merchant(api: Api) -> None:
    key, body = fresh_key(), {"name": "Shop", "country": "FR"}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.post("/v1/merchants", body, key=key), range(16)))
    assert len({a.json()["id"] for a in answers if a.status_code == 201}) == 1


def test_retry_after_202_gets_the_outcome(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    body = PAYMENT | {"payment_method": {"type": "card_token", "token": "tok_pending"}}
    first = api.post("/v1/payments", body, key=key, headers={"Prefer": "wait=0"})
    assert first.status_code == 202
    second = api.post("/v1/payments", body, key=key, headers={"Prefer": "wait=20"})
    assert (second.status_code, second.json()["status"]) == (201, "authorized")
    assert second.json()["id"] == first.json()["id"]
    third = api.post("/v1/payments", body, key=key)
    assert third.headers["Idempotent-Replayed"] == "true"
    assert third.content == second.content
    assert len(sandbox.effects(first.json()["id"])) == 1


def test_refused_body_and_scope_leave_the_key_free(api: Api) -> None:
    key = fresh_key()
    assert api.post("/v1/payments", {}, key=key).status_code == 422
    assert api.post("/v1/payments", PAYMENT, key=key, token=mint(scopes=())).status_code == 403
    assert api.post("/v1/payments", PAYMENT, key=key).status_code == 201


def test_claim_of_a_dead_request_is_taken_over_with_its_ids(api: Api) -> None:
    key, payment_id = fresh_key(), new_id(IdPrefix.PAYMENT)
    _claim_and_die(api, key, payment_id)
    shown = api.get(f"/v1/payments/{payment_id}")
    assert (shown.status_code, shown.json()["status"]) == (200, "processing")
    early = api.post("/v1/payments", PAYMENT, key=key)
    assert (early.status_code, early.json()["code"]) == (409, "idempotency_key_in_use")
    assert early.headers["Retry-After"] == "1"
    _age_claim(api, key)
    taken = api.post("/v1/payments", PAYMENT, key=key)
    assert (taken.status_code, taken.json()["id"]) == (201, payment_id)


def test_many_retries_of_a_dead_request_start_one_operation(api: Api, sandbox: Sandbox) -> None:
    key, payment_id = fresh_key(), new_id(IdPrefix.PAYMENT)
    _claim_and_die(api, key, payment_id)
    _age_claim(api, key)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post("/v1/payments", PAYMENT, key=key), range(8)))
    assert {a.json()["id"] for a in answers if a.status_code == 201} == {payment_id}
    assert {a.status_code for a in answers} <= {201, 409}
    assert len(sandbox.effects(payment_id)) == 1


def test_operation_that_ended_while_its_request_was_dead_is_answered_from_its_rows(
    api: Api, sandbox: Sandbox
) -> None:
    key = fresh_key()
    first = api.post("/v1/payments", PAYMENT, key=key)
    _execute(
        api,
        "UPDATE idempotency_claims SET status = NULL, body = NULL, location = NULL,"
        " renewed_at = '-infinity' WHERE key = %s",
        key,
    )
    second = api.post("/v1/payments", PAYMENT, key=key)
    assert (second.status_code, second.json()) == (201, first.json())
    assert len(sandbox.effects(first.json()["id"])) == 1


def test_temporal_down_is_503_soon_and_the_retry_moves_money_once(
    api: Api, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    # What earlier tests have left is told now, and is not this one's.
    gc.collect()
    caplog.clear()
    key = fresh_key()
    dead = f"127.0.0.1:{free_port()}"
    with served(lambda: make_parts(api.database_url, dead)) as cut_off:
        began = time.monotonic()
        answer = cut_off.post("/v1/payments", PAYMENT, key=key)
        seconds = time.monotonic() - began
        assert (answer.status_code, answer.json()["code"]) == (503, "temporal_unavailable")
        assert answer.headers["Retry-After"]
        assert seconds < 8
        assert cut_off.http.get("/healthz").status_code == 200
        ready = cut_off.http.get("/readyz")
        assert (ready.status_code, ready.json()["temporal"]) == (503, "down")
    gc.collect()
    assert "never retrieved" not in caplog.text
    retried = api.post("/v1/payments", PAYMENT, key=key)
    assert retried.status_code == 201
    assert len(sandbox.effects(retried.json()["id"])) == 1


def test_wait_that_runs_out_is_202_and_the_saga_goes_on(api: Api, sandbox: Sandbox) -> None:
    sandbox.arm("authorize", "pending", delay_ms=3000)
    try:
        accepted = api.post("/v1/payments", PAYMENT, headers={"Prefer": "wait=1"})
        assert (accepted.status_code, accepted.json()["status"]) == (202, "processing")
        for _ in range(300):
            shown = api.get(accepted.headers["Location"]).json()
            if shown["status"] != "processing":
                break
            time.sleep(0.1)
        assert shown["status"] == "authorized"
    finally:
        sandbox.clear_faults()


def test_caller_that_hangs_up_loses_nothing(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    sandbox.arm("authorize", "slow", delay_ms=500)
    try:
        headers = {"Authorization": f"Bearer {mint()}", "Idempotency-Key": key}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{api.base_url}/v1/payments", json=PAYMENT, headers=headers, timeout=0.2)
        for _ in range(100):
            answer = api.post("/v1/payments", PAYMENT, key=key)
            if answer.status_code != 409:
                break
            time.sleep(0.1)
    finally:
        sandbox.clear_faults()
    assert (answer.status_code, answer.json()["status"]) == (201, "authorized")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(sandbox.effects(answer.json()["id"])) == 1


async def test_claims_past_their_time_are_forgotten_and_no_others(api: Api) -> None:
    old, young = fresh_key(), fresh_key()
    for key in (old, young):
        api.post("/v1/payments", PAYMENT, key=key)
    statement = (
        "UPDATE idempotency_claims SET created_at = now() - interval '31 days' WHERE key = %s"
    )
    _execute(api, statement, old)
    database = Database(api.database_url)
    assert await Claims(database).expire(older_than_days=30, limit=10) == 1
    await database.close()
    assert "Idempotent-Replayed" in api.post("/v1/payments", PAYMENT, key=young).headers
    assert "Idempotent-Replayed" not in api.post("/v1/payments", PAYMENT, key=old).headers


def test_card_number_in_a_key_is_kept_nowhere_and_the_key_still_counts(api: Api) -> None:
    end = fresh_key()
    keys = [f"4242424242424242-{end}", f"5555555555554444-{end}"]
    first, other = (api.post("/v1/payments", PAYMENT, key=key) for key in keys)
    again = api.post("/v1/payments", PAYMENT, key=keys[0])
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["id"] != other.json()["id"]
    assert (again.headers["Idempotent-Replayed"], again.json()) == ("true", first.json())
    with psycopg.connect(api.database_url) as connection:
        kept = connection.execute(
            "SELECT key, CAST(c AS text) FROM idempotency_claims AS c WHERE key LIKE %s",
            [f"%{end}"],
        ).fetchall()
    assert [key for key, _ in kept] == [f"{HIDDEN}-{end}"] * 2
    assert not any(key[:16] in whole for _, whole in kept for key in keys)


def test_database_down_is_503_soon(api: Api) -> None:
    nowhere = f"postgresql://127.0.0.1:{free_port()}/nothing"
    with served(lambda: make_parts(nowhere, api.temporal_address)) as cut_off:
        answer = cut_off.post("/v1/payments", PAYMENT, token=mint(merchant_id="mer_demo"))
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["Retry-After"]
        assert cut_off.get("/v1/payments").status_code == 503


def _claim_and_die(api: Api, key: str, payment_id: str) -> None:
    """What a request leaves that was killed between its claim and its start."""
    saga = AuthorizeInput(
        payment_id=payment_id,
        merchant_id=PAYMENT["merchant_id"],
        amount=PAYMENT["amount"],
        currency=PAYMENT["currency"],
        token="tok_ok",
        requested_by="tester",
    )
    claim = NewClaim(
        caller="tester",
        method="POST",
        path="/v1/payments",
        key=key,
        fingerprint=fingerprint(PAYMENT),
        merchant_id=saga.merchant_id,
        resource_id=payment_id,
        saga=saga,
    )

    async def claim_it() -> None:
        database = Database(api.database_url)
        assert await Claims(database).claim(claim) is None
        await database.close()

    asyncio.run(claim_it())


def _age_claim(api: Api, key: str) -> None:
    _execute(
        api,
        "UPDATE idempotency_claims SET renewed_at = renewed_at - interval '6 s' WHERE key = %s",
        key,
    )


def _execute(api: Api, statement: str, *values: str) -> None:
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(statement.encode(), values)
