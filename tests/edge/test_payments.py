"""The lifecycles over HTTP, as a client drives them."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.api import Api, fresh_key, mint

PAYMENT: dict[str, Any] = {
    "merchant_id": "mer_demo",
    "amount": 1234,
    "currency": "EUR",
    "payment_method": {"type": "card_token", "token": "tok_ok"},
    "capture_method": "manual",
}
PAYER_ACTS = {"type": "card_token", "token": "tok_3ds"}


def test_payment_is_authorized_captured_refunded_and_voided(api: Api) -> None:
    created = api.post("/v1/payments", PAYMENT | {"metadata": {"order": "1"}})
    assert created.status_code == 201
    payment = created.json()
    assert payment["status"] == "authorized"
    assert created.headers["Location"] == f"/v1/payments/{payment['id']}"
    assert payment["metadata"] == {"order": "1"}

    captured = api.post(f"/v1/payments/{payment['id']}/captures", {"amount": 1000})
    assert (captured.status_code, captured.json()["status"]) == (201, "succeeded")
    refunded = api.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 400})
    assert (refunded.status_code, refunded.json()["status"]) == (201, "succeeded")
    voided = api.post(f"/v1/payments/{payment['id']}/void", {"reason": "enough"})
    assert (voided.status_code, voided.json()["amount_capturable"]) == (200, 0)

    shown = api.get(f"/v1/payments/{payment['id']}").json()
    assert shown["status"] == "partially_refunded"
    assert shown["amount_refunded"] == 400
    assert api.get(f"/v1/captures/{captured.json()['id']}").json() == captured.json()
    assert api.get(f"/v1/refunds/{refunded.json()['id']}").json()["amount"] == 400
    listed = api.get(f"/v1/payments/{payment['id']}/captures").json()
    assert [one["id"] for one in listed["data"]] == [captured.json()["id"]]


def test_declined_payment_is_an_answer_and_not_an_error(api: Api) -> None:
    body = PAYMENT | {"payment_method": {"type": "card_token", "token": "tok_declined"}}
    declined = api.post("/v1/payments", body)
    assert (declined.status_code, declined.json()["status"]) == (201, "declined")
    assert declined.json()["failure"]["code"]


def test_3ds_payment_is_known_when_the_payer_has_to_act(api: Api) -> None:
    asked = api.post("/v1/payments", PAYMENT | {"payment_method": PAYER_ACTS})
    assert (asked.status_code, asked.json()["status"]) == (201, "requires_action")
    assert asked.json()["next_action"]["type"] == "redirect"


def test_payer_who_returns_is_believed_only_when_the_provider_says_so(api: Api) -> None:
    payment = api.post("/v1/payments", PAYMENT | {"payment_method": PAYER_ACTS}).json()
    path, went = f"/v1/payments/{payment['id']}/complete", {"parameters": {"went": "well"}}
    early = api.post(path, went)
    assert (early.status_code, early.json()["status"]) == (200, "requires_action"), early.text
    httpx.post(payment["next_action"]["url"], json={"result": "succeed"}, trust_env=False)
    known = api.post(path, {"parameters": {"went": "well now"}})
    assert (known.status_code, known.json()["status"]) == (200, "authorized"), known.text
    assert known.headers["Location"] == f"/v1/payments/{payment['id']}"
    again = api.post(path, went)
    assert (again.status_code, again.json()) == (200, known.json())
    late = api.post(path, {"parameters": {"went": "otherwise"}})
    assert (late.status_code, late.json()["code"]) == (409, "payment_needs_no_action")


def test_payer_s_return_is_taken_without_a_wait(api: Api) -> None:
    payment = api.post("/v1/payments", PAYMENT | {"payment_method": PAYER_ACTS}).json()
    path = f"/v1/payments/{payment['id']}/complete"
    taken = api.post(path, {}, headers={"Prefer": "wait=0"})
    assert (taken.status_code, taken.json()["id"]) == (202, payment["id"])


def test_payment_that_waits_for_nobody_is_not_completed(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    refused = api.post(f"/v1/payments/{payment_id}/complete", {"parameters": {"went": "well"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_needs_no_action")
    unknown = api.post("/v1/payments/pay_01ARZ3NDEKTSV4RRFFQ69G5FAV/complete", {})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_capture_of_a_voided_payment_is_a_conflict_with_a_stable_code(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    assert api.post(f"/v1/payments/{payment_id}/void").status_code == 200
    refused = api.post(f"/v1/payments/{payment_id}/captures")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "payment_not_capturable"


def test_second_void_is_refused_under_a_number_of_its_own(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    assert api.post(f"/v1/payments/{payment_id}/void").status_code == 200
    again = api.post(f"/v1/payments/{payment_id}/void")
    assert (again.status_code, again.json()["code"]) == (409, "payment_not_voidable")


def test_void_that_was_refused_once_can_be_asked_again(api: Api) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    captured = api.post(f"/v1/payments/{payment_id}/captures", {"amount": 1234})
    assert captured.status_code == 201
    first = api.post(f"/v1/payments/{payment_id}/void")
    second = api.post(f"/v1/payments/{payment_id}/void")
    assert [first.status_code, second.status_code] == [409, 409]
    saga_ids = {
        row["workflow_id"]
        for row in api.get("/v1/ops/sagas", params={"payment_id": payment_id}).json()["data"]
    }
    assert {f"void/{payment_id}/1", f"void/{payment_id}/2"} <= saga_ids


def test_refund_over_the_refundable_is_refused(api: Api) -> None:
    body = PAYMENT | {"capture_method": "automatic"}
    payment = api.post("/v1/payments", body).json()
    assert payment["status"] == "captured"
    refused = api.post(f"/v1/payments/{payment['id']}/refunds", {"amount": 1235})
    assert (refused.status_code, refused.json()["code"]) == (409, "amount_exceeds_refundable")


def test_reference_in_use_names_the_payment_that_has_it(api: Api) -> None:
    body = PAYMENT | {"reference": fresh_key()}
    first = api.post("/v1/payments", body)
    second = api.post("/v1/payments", body)
    assert (second.status_code, second.json()["code"]) == (409, "reference_in_use")
    assert second.json()["existing_id"] == first.json()["id"]


def test_wait_zero_is_accepted_and_the_resource_is_there_at_once(api: Api) -> None:
    accepted = api.post("/v1/payments", PAYMENT, headers={"Prefer": "wait=0"})
    assert accepted.status_code == 202
    location = accepted.headers["Location"]
    assert api.get(location).json()["id"] == accepted.json()["id"]


def test_wait_that_cannot_be_read_is_ignored(api: Api) -> None:
    for preference in ("wait=soon", "wait=31", "wait=-1", "respond-async", "wait=99999999999"):
        created = api.post("/v1/payments", PAYMENT, headers={"Prefer": preference})
        assert created.status_code == 201, preference


def test_payout_above_the_threshold_is_approved_by_somebody_else(api: Api) -> None:
    merchant = api.post(
        "/v1/merchants",
        {
            "name": "Shop",
            "country": "DE",
            "availability": {"rule": "on_capture"},
            "payout": {"approval_above": 500},
        },
    )
    assert merchant.status_code == 201
    merchant_id = merchant.json()["id"]
    body = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
    assert api.post("/v1/payments", body).json()["status"] == "captured"
    payout_body = {
        "merchant_id": merchant_id,
        "amount": 600,
        "currency": "EUR",
        "destination": {"type": "bank_token", "token": "tok_ok"},
    }
    asked = api.post("/v1/payouts", payout_body)
    assert (asked.status_code, asked.json()["status"]) == (201, "awaiting_approval")
    path = f"/v1/payouts/{asked.json()['id']}"
    own = api.post(f"{path}/approve")
    assert (own.status_code, own.json()["code"]) == (403, "four_eyes")
    other = mint("somebody-else")
    approved = api.post(f"{path}/approve", {"reason": "checked"}, token=other)
    assert approved.status_code == 200
    assert approved.json()["status"] in {"pending", "in_transit"}
    assert api.post(f"{path}/reject", {"reason": "late"}, token=other).status_code == 409

    too_much = api.post("/v1/payouts", payout_body | {"amount": 5000})
    assert (too_much.status_code, too_much.json()["code"]) == (
        409,
        "insufficient_available_balance",
    )


def test_rejected_payout_gives_the_money_back(api: Api) -> None:
    merchant_id = api.post(
        "/v1/merchants",
        {
            "name": "Shop",
            "country": "DE",
            "availability": {"rule": "on_capture"},
            "payout": {"approval_above": {"EUR": 0}},
        },
    ).json()["id"]
    body = PAYMENT | {"merchant_id": merchant_id, "capture_method": "automatic"}
    api.post("/v1/payments", body)
    payout = api.post(
        "/v1/payouts",
        {
            "merchant_id": merchant_id,
            "amount": 1000,
            "currency": "EUR",
            "destination": {"type": "bank_token", "token": "tok_ok"},
        },
    ).json()
    balances = f"/v1/merchants/{merchant_id}/balances"
    assert api.get(balances).json()["data"][0]["available"] == 234
    rejected = api.post(f"/v1/payouts/{payout['id']}/reject", {"reason": "no"})
    assert (rejected.status_code, rejected.json()["status"]) == (200, "rejected")
    assert api.get(balances).json()["data"][0]["available"] == 1234
