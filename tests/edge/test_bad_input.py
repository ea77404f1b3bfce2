"""What is refused at the door: with a stable code, as a problem document, nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.edge.test_payments import PAYER_ACTS, PAYMENT
from tests.support.api import Api, fresh_key, mint
from tests.support.stack import eventually

PAN = "4242424242424242"

BAD_BODIES: list[tuple[str, bytes, int, str]] = [
    ("broken JSON", b'{"amount": ', 400, "malformed_json"),
    ("nothing", b"", 400, "malformed_json"),
    ("not UTF-8", b'{"description": "\xff"}', 400, "malformed_json"),
    ("NaN", b'{"amount": NaN}', 400, "malformed_json"),
    ("deeper than any body", b"[" * 60_000, 400, "malformed_json"),
    ("a list", b"[]", 422, "validation_failed"),
    ("a number", b"1", 422, "validation_failed"),
    ("null", b"null", 422, "validation_failed"),
    ("too large", b'{"description": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
]

BAD_FIELDS: list[tuple[str, Any]] = [
    ("amount", 12.34),
    ("amount", 12.0),
    ("amount", "1234"),
    ("amount", True),
    ("amount", None),
    ("amount", -1),
    ("amount", 0),
    ("amount", 10**12),
    ("amount", 10**30),
    ("currency", "eur"),
    ("currency", "XXX"),
    ("currency", "EURO"),
    ("currency", ""),
    ("currency", 978),
    ("merchant_id", "demo"),
    ("merchant_id", "mer_\u0000"),
    ("merchant_id", ["mer_demo"]),
    ("capture_method", "later"),
    ("payment_method", "tok_ok"),
    ("payment_method", {"type": "card", "token": "tok_ok"}),
    ("payment_method", {"type": "card_token"}),
    ("payment_method", {"type": "card_token", "token": "tok ok"}),
    ("payment_method", {"type": "card_token", "token": "tok_ok", "cvc": "123"}),
    ("provider", "San Box"),
    ("reference", ""),
    ("reference", "x" * 256),
    ("description", "nul \u0000 byte"),
    ("description", "half a pair \ud800"),
    ("description", "x" * 1001),
    ("metadata", {"order": 1}),
    ("metadata", {"": "x"}),
    ("metadata", {"k" * 41: "x"}),
    ("metadata", {"k": "v" * 501}),
    ("metadata", {"a\u0000": "x"}),
    ("metadata", {str(n): "x" for n in range(51)}),
    ("surprise", "unknown field"),
]

BAD_PARAMETERS: list[Any] = [
    None,
    "redirectResult=1",
    ["redirectResult"],
    {"redirectResult": 1},
    {"redirectResult": None},
    {"redirectResult": ""},
    {"redirectResult": {"deep": "x"}},
    {"redirectResult": "x" * 20_001},
    {"redirectResult": "line\nbreak"},
    {"redirectResult": "nul \u0000 byte"},
    {"redirectResult": "é"},
    {"": "x"},
    {"1x": "x"},
    {"a b": "x"},
    {"k" * 65: "x"},
    {f"k{n}": "x" for n in range(11)},
]

CARD_NUMBERS: list[tuple[str, Any]] = [
    ("description", PAN),
    ("description", "4242 4242 4242 4242"),
    ("description", "4242-4242-4242-4242"),
    ("description", f"my card is {PAN}, thanks"),
    ("description", f"order 12 {PAN}"),
    ("description", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢"),
    ("description", "378282246310005"),
    ("description", "4222222222222"),
    ("reference", PAN),
    ("merchant_id", PAN),
    ("provider", PAN),
    ("metadata", {"card": PAN}),
    ("metadata", {PAN: "x"}),
    ("payment_method", {"type": "card_token", "token": PAN}),
    ("payment_method", {"type": "card_token", "token": "tok_ok", "number": PAN}),
    ("surprise", {"deep": [{"er": PAN}]}),
]


@pytest.mark.parametrize(("what", "content", "status", "code"), BAD_BODIES)
def test_bad_body_is_refused_and_changes_nothing(
    api: Api, what: str, content: bytes, status: int, code: str
) -> None:
    before = _counts(api)
    answer = api.post("/v1/payments", content=content)
    _assert_problem(answer, status, code)
    assert _counts(api) == before, what


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_bad_field_is_named_and_changes_nothing(api: Api, field: str, value: Any) -> None:
    before = _counts(api)
    answer = api.post("/v1/payments", content=_encoded(PAYMENT | {field: value}))
    _assert_problem(answer, 422, "validation_failed")
    assert any(field in error["field"] for error in answer.json()["errors"])
    assert _counts(api) == before


@pytest.mark.parametrize("value", BAD_PARAMETERS)
def test_bad_word_of_a_payer_is_refused_and_changes_nothing(api: Api, value: Any) -> None:
    payment = api.post("/v1/payments", PAYMENT | {"payment_method": PAYER_ACTS}).json()
    before = _counts(api)
    path = f"/v1/payments/{payment['id']}/complete"
    answer = api.post(path, content=_encoded({"parameters": value}))
    _assert_problem(answer, 422, "validation_failed")
    answer = api.post(path, {"parameters": {"redirectResult": PAN}})
    _assert_problem(answer, 422, "pan_not_accepted")
    _assert_problem(api.post(path, {"redirectResult": "x"}), 422, "validation_failed")
    assert _counts(api) == before


@pytest.mark.parametrize(("field", "value"), CARD_NUMBERS)
def test_card_number_in_any_field_is_refused_and_kept_nowhere(
    api: Api, field: str, value: Any, logged: Callable[[], str]
) -> None:
    before = _counts(api)
    answer = api.post("/v1/payments", content=_encoded(PAYMENT | {field: value}))
    _assert_problem(answer, 422, "pan_not_accepted")
    assert _counts(api) == before
    assert answer.json()["request_id"] in logged()
    for text in (answer.text, logged()):
        assert PAN not in text
        assert "4242 4242" not in text


@pytest.mark.parametrize(
    "text",
    [
        "order 4242424242424241",
        "42424242424242424242424242",
        "tel. +49 30 1234567",
        "2026-11-24T15:26:31Z",
        "pay_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_what_is_no_card_number_is_taken(api: Api, text: str) -> None:
    assert api.post("/v1/payments", PAYMENT | {"description": text}).status_code == 201


def test_wrong_content_type_is_415(api: Api) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = api.post("/v1/payments", PAYMENT, headers={"Content-Type": kind})
        _assert_problem(answer, 415, "unsupported_media_type")


def test_body_that_lies_about_its_length_is_still_bounded(api: Api) -> None:
    def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 1024

    headers = {
        "Authorization": f"Bearer {mint()}",
        "Idempotency-Key": fresh_key(),
        "Content-Type": "application/json",
    }
    answer = api.http.post("/v1/payments", content=chunks(), headers=headers)
    _assert_problem(answer, 413, "body_too_large")


def test_refusals_come_in_the_order_of_the_contract(api: Api) -> None:
    path, bad = "/v1/payments/pay_nothing/captures", b"{"
    no_scope = {"Authorization": f"Bearer {mint(scopes=())}"}
    good = {"Authorization": f"Bearer {mint()}"}
    json_type = {"Content-Type": "application/json"}
    key = {"Idempotency-Key": fresh_key()}
    steps: list[tuple[dict[str, str], bytes, int]] = [
        ({}, bad, 401),
        (no_scope, bad, 403),
        (good, bad, 400),
        (good | key, b"amount=1", 415),
        (good | key | json_type, bad, 400),
        (good | key | json_type, b'{"amount": 0}', 422),
        (good | key | json_type, b"{}", 404),
    ]
    for headers, content, status in steps:
        answer = api.http.post(path, content=content, headers=headers)
        assert answer.status_code == status, (headers, content, answer.text)


def test_unknown_routes_and_methods_are_problems(api: Api) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v1/payments/", "/v2/payments"):
        _assert_problem(api.http.get(path), 404, "not_found")
    answer = api.http.delete("/v1/payments")
    _assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments?limit=0",
        "/v1/payments?limit=101",
        "/v1/payments?limit=x",
        "/v1/payments?cursor=%00",
        "/v1/payments?cursor=!!!",
        "/v1/payments?merchant_id=a%00b",
        "/v1/payments?status=%27",
        "/v1/payments?created_after=yesterday",
        "/v1/payments?created_after=2026-11-24T00:00:00",
        "/v1/events?after=evt_nothing",
        "/v1/events?after=evt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/v1/ops/sagas?state=red",
        "/v1/ops/sagas?cursor=AAAA",
        "/v1/ledger/trial-balance?at=now",
        "/v1/ledger/accounts/platform:fees?currency=eur",
        "/v1/ledger/accounts/platform:fees/entries?cursor=eA",
    ],
)
def test_bad_parameter_is_422(api: Api, path: str) -> None:
    _assert_problem(api.get(path), 422, "validation_failed")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/payments/pay_%00",
        "/v1/payments/pay_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/v1/payments/..%2f..%2fetc",
        "/v1/captures/ref_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/v1/merchants/mer_%00",
        "/v1/ops/sagas/%00",
        "/v1/ops/sagas/authorize%2Fpay_x",
        "/v1/ledger/accounts/nobody",
        "/v1/ledger/accounts/merchant:%00:available",
        "/v1/ledger/accounts/merchant:*:available",
    ],
)
def test_strange_ids_are_404(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 404, answer.text
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "change",
    [
        {"country": "Germany"},
        {"country": "de"},
        {"name": ""},
        {"id": "shop"},
        {"availability": {"rule": "after_days"}},
        {"availability": {"rule": "on_capture", "days": 3}},
        {"availability": {"rule": "whenever"}},
        {"fees": {"basis_points": 1.5}},
        {"fees": {"basis_points": 10_001}},
        {"payout": {"minimum": {"eur": 1}}},
        {"payout": {"time_zone": "Mars/Olympus"}},
        {"payout": {"time_zone": "../../etc/passwd"}},
        {"payout": {"destination": {"type": "bank_token"}}},
        {"payout": {"approval_above": -1}},
        {"routing": {"prefer": ["sandbox", "nobody"]}},
        {"routing": {"prefer": ["sandbox", "sandbox"]}},
        {"routing": {"weights": {"sandbox": 0}}},
        {"routing": {"weights": {"sandbox": 0.5}}},
        {"routing": {"weight": {"sandbox": 1}}},
    ],
)
def test_merchant_with_impossible_terms_is_refused(api: Api, change: dict[str, Any]) -> None:
    answer = api.post("/v1/merchants", {"name": "Shop", "country": "DE"} | change)
    _assert_problem(answer, 422, "validation_failed")


def test_merchant_id_is_taken_once(api: Api) -> None:
    body = {"id": f"mer_{fresh_key()}", "name": "Shop", "country": "DE"}
    assert api.post("/v1/merchants", body).status_code == 201
    again = api.post("/v1/merchants", body)
    _assert_problem(again, 409, "merchant_exists")
    assert again.json()["existing_id"] == body["id"]


def test_payment_for_an_unknown_merchant_is_404(api: Api) -> None:
    answer = api.post("/v1/payments", PAYMENT | {"merchant_id": "mer_unknown"})
    _assert_problem(answer, 404, "merchant_not_found")
    bound, before = mint(merchant_id="mer_unknown"), _counts(api)
    answer = api.post("/v1/payments", PAYMENT | {"merchant_id": "mer_unknown"}, token=bound)
    _assert_problem(answer, 404, "merchant_not_found")
    assert _counts(api) == before


def test_long_path_is_logged_by_its_beginning(api: Api, logged: Callable[[], str]) -> None:
    known = "/v1/payments/"
    answer = api.get(known + "x" * 5_000)
    _assert_problem(answer, 404, "not_found")
    eventually(lambda: answer.headers["X-Request-Id"] in logged(), "the line of the request")
    assert known + "x" * (256 - len(known)) + "…" in logged()
    assert "x" * 257 not in logged()


def _assert_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert {"type", "title", "detail"} <= problem.keys()


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def _counts(api: Api) -> list[int]:
    tables = (
        "idempotency_claims",
        "operations",
        "payments",
        "ledger_postings",
        "events",
        "provider_events",
    )
    with psycopg.connect(api.database_url) as connection:
        return [
            row[0]
            for table in tables
            for row in connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            )
        ]
