"""A merchant's terms as they are agreed over HTTP, and the statement of what they came to."""

from __future__ import annotations

import csv
import io
from typing import Any
from uuid import uuid4

import httpx
import pytest

from recompense.domain.ids import IdPrefix, new_id
from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, mint
from tests.support.stack import eventually

LONG_AGO = "2020-01-01T00:00:00Z"
TERMS: dict[str, Any] = {
    "availability": {"rule": "on_capture"},
    "fees": {"basis_points": 100, "fixed": {"EUR": 25}, "minimum": 50, "on_refund": "returned"},
    "reserve": {"basis_points": 1000, "days": 90},
}


def merchant(api: Api, **terms: Any) -> dict[str, Any]:
    body = {"id": new_id(IdPrefix.MERCHANT), "name": "Shop", "country": "DE"} | terms
    made = api.post("/v1/merchants", body)
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


def statement(api: Api, merchant_id: str, **query: Any) -> httpx.Response:
    params = {"from": LONG_AGO} | query
    return api.get(f"/v1/merchants/{merchant_id}/statement", params=params)


def closed(api: Api, merchant_id: str, holds: str = "", **query: Any) -> httpx.Response:
    """The statement, once the books are closed as far as it tells: what a transaction anywhere on
    the server still writes holds them open.
    """
    answers: list[httpx.Response] = []

    def told() -> bool:
        answers.append(statement(api, merchant_id, **query))
        assert (answers[-1].status_code == 200) is ("Retry-After" not in answers[-1].headers)
        return answers[-1].status_code == 200 and holds in answers[-1].text

    eventually(told, "a statement of closed books")
    return answers[-1]


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))


def test_terms_are_taken_and_shown(api: Api) -> None:
    shown = merchant(api, **TERMS)
    assert shown["reserve"] == TERMS["reserve"]
    assert shown["fees"] == {
        "basis_points": 100,
        "fixed": {"EUR": 25},
        "minimum": 50,
        "on_refund": "returned",
    }
    assert api.get(f"/v1/merchants/{shown['id']}").json() == shown
    bare = merchant(api)
    assert bare["reserve"] == {"basis_points": 0, "days": 0}
    assert bare["availability"] == {"rule": "on_settlement", "days": 0}


@pytest.mark.parametrize(
    "terms",
    [
        {"fees": {"minimum": 2, "maximum": 1}},
        {"fees": {"exceptions": [{"fixed": 1}]}},
        {"fees": {"fixed": {"EURO": 1}}},
        {"fees": {"fixed": 0.5}},
        {"fees": {"on_refund": "perhaps"}},
        {"reserve": {"basis_points": 10}},
        {"reserve": {"basis_points": 10_001, "days": 1}},
        {"availability": {"rule": "on_capture", "business_days": True}},
    ],
)
def test_terms_that_cannot_be_meant_are_refused(api: Api, terms: dict[str, Any]) -> None:
    body = {"id": new_id(IdPrefix.MERCHANT), "name": "Shop", "country": "DE"} | terms
    refused = api.post("/v1/merchants", body)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")
    assert api.get(f"/v1/merchants/{body['id']}").status_code == 404


def test_statement_tells_what_the_terms_came_to(api: Api) -> None:
    merchant_id = merchant(api, **TERMS)["id"]
    body = PAYMENT | {"merchant_id": merchant_id, "amount": 10_000, "capture_method": "automatic"}
    payment = api.post("/v1/payments", body).json()
    assert payment["status"] == "captured"
    refund = api.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 4_000}).json()
    assert refund["status"] == "succeeded"
    answer = closed(api, merchant_id, "fee_returned")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    told = [(row["kind"], row["moved"], row["change"], row["total"]) for row in rows_of(answer)]
    assert told == [
        ("opening_balance", "", "", "0.00"),
        ("capture", "100.00", "100.00", "100.00"),
        ("fee", "1.25", "-1.25", "98.75"),
        ("made_available", "88.87", "0.00", "98.75"),
        ("reserve_kept", "9.88", "0.00", "98.75"),
        ("refund", "40.00", "-40.00", "58.75"),
        ("fee_returned", "0.50", "0.50", "59.25"),
        ("closing_balance", "", "", "59.25"),
    ]
    closing = rows_of(answer)[-1]
    balances = api.get(f"/v1/merchants/{merchant_id}/balances").json()["data"]
    assert balances == [
        {"currency": "EUR", "pending": 0, "available": 4_937, "reserve": 988, "in_transit": 0}
    ]
    assert (closing["pending"], closing["available"], closing["reserve"]) == (
        "0.00", "49.37", "9.88",
    )  # fmt: skip
    until = closing["at"]
    assert closed(api, merchant_id, to=until).text == answer.text
    after = rows_of(closed(api, merchant_id, **{"from": until, "currency": "EUR"}))
    assert [row["total"] for row in after] == ["59.25", "59.25"]


def test_statement_for_printers_is_inert(api: Api) -> None:
    merchant_id = merchant(api)["id"]
    page = closed(api, merchant_id, format="html", currency="EUR")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert page.text.rstrip().endswith("</html>")


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-01-01"},
        {"from": "1999-12-31T23:59:59Z"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": LONG_AGO},
        {"to": "2019-01-01T00:00:00Z"},
        {"currency": "XXX"},
        {"currency": "eur"},
        {"format": "pdf"},
    ],
)
def test_statement_that_cannot_be_made_is_refused(api: Api, query: dict[str, str]) -> None:
    refused = statement(api, "mer_demo", **query)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("until", ["2999-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"])
def test_open_books_are_told_until_when_they_are_closed(api: Api, until: str) -> None:
    def refusal() -> dict[str, Any]:
        refused = statement(api, "mer_demo", to=until)
        assert refused.status_code == 409
        document: dict[str, Any] = refused.json()
        return document

    assert refusal()["code"] == "books_still_open"
    assert "Retry-After" not in statement(api, "mer_demo", to=until).headers
    eventually(lambda: "closed_until" in refusal(), "the time until which books are closed")


def test_statement_of_another_merchant_is_not_there(api: Api) -> None:
    other = mint("other", merchant_id="mer_other")
    path = "/v1/merchants/mer_demo/statement"
    hidden = api.get(path, params={"from": LONG_AGO}, token=other)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "merchant_not_found")


def test_statement_of_a_payout_run_lists_its_items_and_sums(api: Api) -> None:
    name = f"run-{uuid4().hex[:12]}"
    payout = {"schedule": name, "destination": {"type": "bank_token", "token": "tok_ok"}}
    shops = {merchant(api, payout=payout, availability=TERMS["availability"])["id"] for _ in "ab"}
    for merchant_id in shops:
        paid = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
        assert api.post("/v1/payments", paid).json()["status"] == "captured"
    made = api.post("/v1/payout-runs", {"name": name, "business_date": "2026-11-27"})
    assert made.status_code == 201, made.text
    path = f"/v1/payout-runs/{made.json()['id']}/statement"
    *items, total, total_paid = rows_of(api.get(path))
    assert {row["merchant_id"] for row in items} == shops
    assert {(row["amount"], row["currency"]) for row in items} == {("12.34", "EUR")}
    assert (total["item"], total["amount"]) == ("total", "24.68")
    assert (total_paid["item"], total_paid["amount"]) == ("total_paid", "0.00")
    assert api.get(path, params={"format": "html"}).text.count("<tr>") == 5
    assert api.get(path, token=mint("other", merchant_id="mer_other")).status_code == 404
    assert api.get(path.replace("/run_", "/mer_")).status_code == 404
