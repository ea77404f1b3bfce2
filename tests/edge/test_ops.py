"""On-call people's routes: what is red or waits, and what they can do about it."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, fresh_key, mint
from tests.support.sandbox import Sandbox

PATIENCE_TRIES = 600


def test_compensated_saga_is_failed_and_a_replay_carries_it_on(api: Api, sandbox: Sandbox) -> None:
    sandbox.arm("authorize", "unavailable", times=-1)
    try:
        failed = api.post("/v1/payments", PAYMENT, headers={"Prefer": "wait=30"})
    finally:
        sandbox.clear_faults()
    assert (failed.status_code, failed.json()["status"]) == (201, "failed")
    payment_id = failed.json()["id"]
    path = f"/v1/ops/sagas/authorize%2F{payment_id}"
    shown = api.get(path).json()
    assert (shown["state"], shown["workflow_id"]) == ("failed", f"authorize/{payment_id}")
    assert shown["steps"]
    red = api.get("/v1/ops/sagas", params={"state": "failed", "limit": 100}).json()["data"]
    assert payment_id in {row["payment_id"] for row in red}

    body = {"reason": "it is back", "dry_run": True}
    told = _post_without_key(api, f"{path}/replay", body)
    assert (told.status_code, told.json()["replay"]["action"]) == (200, "reset")
    assert api.get(path).json()["state"] == "failed"
    unkeyed = _post_without_key(api, f"{path}/replay", {"reason": "x"})
    assert unkeyed.json()["code"] == "idempotency_key_missing"

    key = fresh_key()
    replayed = api.post(f"{path}/replay", {"reason": "it is back"}, key=key)
    assert (replayed.status_code, replayed.json()["state"]) == (200, "done")
    assert api.get(f"/v1/payments/{payment_id}").json()["status"] == "authorized"
    again = api.post(f"{path}/replay", {"reason": "once more"})
    assert (again.status_code, again.json()["replay"]["action"]) == (200, "nothing")
    assert len(sandbox.effects(payment_id)) == 1


def test_parked_saga_is_answered_by_a_person(api: Api, sandbox: Sandbox) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    sandbox.arm("capture", "timeout_after", times=-1)
    sandbox.arm("lookup", "timeout_before", times=-1)
    try:
        api.post(f"/v1/payments/{payment_id}/captures", headers={"Prefer": "wait=0"})
        saga = parked(api, payment_id)
        path = f"/v1/ops/sagas/{saga['workflow_id'].replace('/', '%2F')}/resolve"
        assert saga["question"]
        assert api.get(f"/v1/payments/{payment_id}").json()["needs_attention"] is True
        body = {"decision": "succeeded", "reason": "seen there", "provider_reference": "sbx_1"}
        resolved = api.post(path, body)
    finally:
        sandbox.clear_faults()
    assert resolved.status_code == 200, resolved.text
    again = api.post(path, body)
    assert (again.status_code, again.json()["code"]) == (409, "saga_not_parked")
    timeline = api.get(f"/v1/payments/{payment_id}/timeline", params={"limit": 100}).json()["data"]
    assert "ops_action" in {row["kind"] for row in timeline}


def parked(api: Api, payment_id: str) -> dict[str, Any]:
    for _ in range(PATIENCE_TRIES):
        query = {"state": "parked", "payment_id": payment_id}
        found: list[dict[str, Any]] = api.get("/v1/ops/sagas", params=query).json()["data"]
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("the saga was not parked")


def _post_without_key(api: Api, path: str, body: dict[str, Any]) -> httpx.Response:
    return api.http.post(path, json=body, headers={"Authorization": f"Bearer {mint()}"})
