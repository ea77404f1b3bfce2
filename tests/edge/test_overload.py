"""More requests than the API takes: what it refuses was never begun, what it accepts is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.support.api import Api, fresh_key, make_parts, mint, served

PLACES = 2
CALLERS = 16
PAYMENT: dict[str, Any] = {
    "merchant_id": "mer_demo",
    "amount": 1234,
    "currency": "EUR",
    "payment_method": {"type": "card_token", "token": "tok_ok"},
}


def test_flood_is_refused_at_once_and_what_was_refused_may_be_sent_again(api: Api) -> None:
    def parts() -> Any:
        return make_parts(api.database_url, api.temporal_address, max_in_flight=PLACES)

    keys = [fresh_key() for _ in range(CALLERS)]
    with served(parts) as small, ThreadPoolExecutor(CALLERS) as callers:

        def pay(key: str) -> httpx.Response:
            return small.http.post(
                "/v1/payments",
                json=PAYMENT,
                headers={"Authorization": f"Bearer {mint()}", "Idempotency-Key": key},
            )

        first = dict(zip(keys, callers.map(pay, keys), strict=True))
        refused = [key for key, answer in first.items() if answer.status_code == 503]
        assert {answer.status_code for answer in first.values()} == {201, 503}
        for key in refused:
            assert first[key].json()["code"] == "overloaded"
            assert first[key].headers["Retry-After"] == "1"
        again = {key: pay(key) for key in refused}
    assert {answer.status_code for answer in again.values()} == {201}
    assert not any("Idempotent-Replayed" in answer.headers for answer in again.values())
    made = {answer.json()["id"] for answer in (first | again).values()}
    assert len(made) == CALLERS


def test_watchers_are_let_in_whatever_is_under_way(api: Api) -> None:
    with served(
        lambda: make_parts(api.database_url, api.temporal_address, max_in_flight=0)
    ) as full:
        assert full.get("/v1/payments").json()["code"] == "overloaded"
        assert [full.http.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
