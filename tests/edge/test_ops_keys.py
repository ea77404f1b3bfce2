"""One key, one replay and one answer: repeated, the key tells how what it began stands."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.edge.test_ops import parked
from tests.edge.test_payments import PAYMENT
from tests.support.api import Api, fresh_key
from tests.support.sandbox import Sandbox
from tests.support.stack import eventually

AT_ONCE = {"Prefer": "wait=0"}
PATIENTLY = {"Prefer": "wait=30"}
WHY = {"reason": "the provider is back"}


def test_replay_that_fails_again_is_not_made_again(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    sandbox.arm("authorize", "unavailable", times=-1)
    try:
        path = _failed(api)
        accepted = api.post(f"{path}/replay", WHY, key=key, headers=AT_ONCE)
        assert accepted.status_code == 202, accepted.text
        running = api.post(f"{path}/replay", WHY, key=key, headers=AT_ONCE)
        assert running.status_code == 202, running.text
        eventually(lambda: _stands(api, path) == ("failed", 2), "the failure of attempt 2")
        ended = api.post(f"{path}/replay", WHY, key=key)
        assert (ended.status_code, ended.json()["state"]) == (200, "failed")
        again = api.post(f"{path}/replay", WHY, key=key, headers=PATIENTLY)
    finally:
        sandbox.clear_faults()
    assert again.json() == ended.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    replays = [answer.json()["replay"] for answer in (accepted, running, ended)]
    assert replays[0]["attempt"] == 2
    assert replays == [replays[0]] * 3
    assert _stands(api, path) == ("failed", 2)
    assert _replays(api, path) == 1


def test_replay_whose_answer_was_lost_is_not_made_again(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    sandbox.arm("authorize", "unavailable", times=-1)
    try:
        path = _failed(api)
        failed = api.post(f"{path}/replay", WHY, key=key, headers=PATIENTLY)
        assert (failed.status_code, failed.json()["attempt"]) == (200, 2)
        _lose_the_answer(api, key)
        again = api.post(f"{path}/replay", WHY, key=key, headers=PATIENTLY)
    finally:
        sandbox.clear_faults()
    assert (again.status_code, again.json()) == (200, failed.json())
    assert _stands(api, path) == ("failed", 2)
    assert _replays(api, path) == 1


def test_replay_that_has_succeeded_is_told_again(api: Api, sandbox: Sandbox) -> None:
    key = fresh_key()
    sandbox.arm("authorize", "unavailable", times=-1)
    try:
        path = _failed(api)
    finally:
        sandbox.clear_faults()
    api.post(f"{path}/replay", WHY, key=key, headers=AT_ONCE)
    done = api.post(f"{path}/replay", WHY, key=key, headers=PATIENTLY)
    assert (done.status_code, done.json()["state"]) == (200, "done"), done.text
    assert done.json()["replay"]["action"] == "reset"
    _lose_the_answer(api, key)
    again = api.post(f"{path}/replay", WHY, key=key)
    assert (again.status_code, again.json()) == (200, done.json())
    assert _stands(api, path) == ("done", 2)
    assert len(sandbox.effects(done.json()["payment_id"])) == 1
    assert _replays(api, path) == 1


def test_answer_that_was_carried_out_is_told_again(api: Api, sandbox: Sandbox) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    sandbox.arm("capture", "timeout_after", times=-1)
    sandbox.arm("lookup", "timeout_before", times=-1)
    key = fresh_key()
    body = {"decision": "succeeded", "reason": "seen there", "provider_reference": "sbx_1"}
    try:
        api.post(f"/v1/payments/{payment_id}/captures", headers=AT_ONCE)
        path = _path(parked(api, payment_id)["workflow_id"])
        resolved = api.post(f"{path}/resolve", body, key=key)
    finally:
        sandbox.clear_faults()
    assert resolved.status_code == 200, resolved.text
    eventually(lambda: _stands(api, path) == ("done", 1), "the end of the saga")
    _lose_the_answer(api, key)
    again = api.post(f"{path}/resolve", body, key=key)
    assert (again.status_code, again.json()["state"]) == (200, "done"), again.text
    other = api.post(f"{path}/resolve", body)
    assert (other.status_code, other.json()["code"]) == (409, "saga_not_parked")


def test_answer_does_not_count_for_a_later_question(api: Api, sandbox: Sandbox) -> None:
    payment_id = api.post("/v1/payments", PAYMENT).json()["id"]
    sandbox.arm("capture", "timeout_before", times=-1)
    sandbox.arm("lookup", "timeout_before", times=-1)
    key = fresh_key()
    body = {"decision": "failed", "reason": "not there"}
    try:
        api.post(f"/v1/payments/{payment_id}/captures", headers=AT_ONCE)
        path = _path(parked(api, payment_id)["workflow_id"])
        assert api.post(f"{path}/resolve", body, key=key).status_code == 200
        eventually(lambda: _stands(api, path) == ("failed", 1), "the failure of attempt 1")
        api.post(f"{path}/replay", WHY, headers=AT_ONCE)
        eventually(lambda: _stands(api, path) == ("parked", 2), "the question of attempt 2")
        _lose_the_answer(api, key)
        again = api.post(f"{path}/resolve", body, key=key)
        assert (again.status_code, again.json()["state"]) == (200, "parked"), again.text
        other = api.post(f"{path}/resolve", body)
        assert other.status_code == 200, other.text
    finally:
        sandbox.clear_faults()
    eventually(lambda: _stands(api, path) == ("failed", 2), "the failure of attempt 2")


def _failed(api: Api) -> str:
    """The path of an authorization that was taken back."""
    failed = api.post("/v1/payments", PAYMENT, headers=PATIENTLY)
    assert (failed.status_code, failed.json()["status"]) == (201, "failed"), failed.text
    path = _path(f"authorize/{failed.json()['id']}")
    eventually(lambda: _stands(api, path) == ("failed", 1), "the failure of attempt 1")
    return path


def _path(workflow_id: str) -> str:
    return f"/v1/ops/sagas/{workflow_id.replace('/', '%2F')}"


def _stands(api: Api, path: str) -> tuple[str, int]:
    shown: dict[str, Any] = api.get(path).json()
    return shown["state"], shown["attempt"]


def _replays(api: Api, path: str) -> int:
    target = api.get(path).json()["workflow_id"]
    counted = "SELECT count(*) FROM audit_log WHERE action = 'saga_replay' AND target = %s"
    with psycopg.connect(api.database_url) as connection:
        row = connection.execute(counted, [target]).fetchone()
    assert row is not None
    return int(row[0])


def _lose_the_answer(api: Api, key: str) -> None:
    """As an API leaves a claim that dies after the work and before it stores the answer."""
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE idempotency_claims SET status = NULL, body = NULL, location = NULL,"
            " answered_at = NULL, renewed_at = '-infinity' WHERE key = %s",
            [key],
        )
