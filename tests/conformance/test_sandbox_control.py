"""The sandbox's control surface, which tests, benchmarks and demonstrations are written against."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.sandbox.report import read_report
from recompense.contracts.settlement import ReportRefused
from recompense.sandbox.settlement import Corruption
from tests.support.sandbox import Sandbox, running_sandbox


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox for tests whose every request is refused."""
    with running_sandbox(
        tmp_path_factory.mktemp("untouched") / "sandbox.sqlite3",
        api_key="sk_test",
    ) as live:
        yield live


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", pending_delay_ms=50, idempotency_window_seconds=0.3
    ) as live:
        yield live


def authorize(
    sandbox: Sandbox, reference: str, amount: int = 700, card: str = "tok_ok"
) -> httpx.Response:
    return sandbox.http.post(
        "/v1/authorizations",
        json={"reference": reference, "amount": amount, "currency": "EUR", "token": card},
        headers={"idempotency-key": f"{reference}:authorize:1"},
    )


def capture(sandbox: Sandbox, authorization: str, reference: str) -> None:
    sandbox.http.post(
        f"/v1/authorizations/{authorization}/captures",
        json={"reference": reference, "amount": 700, "currency": "EUR"},
        headers={"idempotency-key": f"{reference}:capture:1"},
    ).raise_for_status()


def test_faults_are_used_in_the_order_in_which_they_were_armed(sandbox: Sandbox) -> None:
    sandbox.arm("*", "error_before", times=2)
    sandbox.arm("authorize", "decline")
    sandbox.arm("authorize", "unavailable", reference="pay_other")
    statuses = [authorize(sandbox, f"pay_{number}").status_code for number in range(4)]
    assert statuses == [500, 500, 402, 201]
    assert sandbox.faults() == [
        {"operation": "*", "fault": "error_before", "times": 2, "fired": 2, "match": {}},
        {"operation": "authorize", "fault": "decline", "times": 1, "fired": 1, "match": {}},
        {
            "operation": "authorize",
            "fault": "unavailable",
            "times": 1,
            "fired": 0,
            "match": {"reference": "pay_other"},
        },
    ]
    sandbox.clear_faults()
    assert sandbox.faults() == []


def test_star_fault_meets_lookup_too(sandbox: Sandbox) -> None:
    sandbox.arm("*", "unavailable", times=-1)
    query = {"reference": "pay_1", "idempotency_key": "pay_1:authorize:1"}
    assert sandbox.http.get("/v1/lookup", params=query).status_code == 503
    assert sandbox.fired() == 1


def test_effects_have_their_six_fields_and_are_found_by_reference(sandbox: Sandbox) -> None:
    authorization = authorize(sandbox, "pay_1").json()["id"]
    capture(sandbox, authorization, "pay_1")
    authorize(sandbox, "pay_2")
    authorize(sandbox, "pay_3", card="tok_declined")
    assert [effect["operation"] for effect in sandbox.effects("pay_1")] == ["authorize", "capture"]
    assert len(sandbox.effects()) == 3
    fields = {"operation", "reference", "effect_key", "amount", "currency", "at"}
    assert set(sandbox.effects()[0]) == fields


def test_key_outside_its_window_makes_another_effect(sandbox: Sandbox) -> None:
    first = authorize(sandbox, "pay_1").json()["id"]
    assert authorize(sandbox, "pay_1").json()["id"] == first
    while authorize(sandbox, "pay_1").json()["id"] == first:
        pass
    assert len(sandbox.effects("pay_1")) == 2


@pytest.mark.parametrize(
    ("corruption", "difference"),
    [
        ("missing", -1),
        ("extra", 1),
        ("amount", 0),
        ("currency", 0),
        ("fee", 0),
        ("duplicate", 1),
        ("swollen", 1_000),
    ],
)
def test_settlement_holds_every_effect_and_the_planted_break(
    sandbox: Sandbox, corruption: str, difference: int
) -> None:
    authorization = authorize(sandbox, "pay_1").json()["id"]
    capture(sandbox, authorization, "cap_1")
    clean = settled(sandbox, {"date": "2026-11-24"})
    assert [line["reference"] for line in clean] == ["pay_1", "cap_1"]
    assert [line["net"] for line in clean] == ["0", "693"]
    broken = settled(sandbox, {"date": "2026-11-24", "corrupt": corruption})
    assert len(broken) == 2 + difference
    assert broken != clean
    late = settled(sandbox, {"date": "2026-11-25"})
    assert [line["reference"] for line in late] == (["cap_1"] if corruption == "missing" else [])


@pytest.mark.parametrize(
    ("corruption", "code"),
    [("truncated", "report_truncated"), ("other_date", "report_other_date")],
)
def test_spoilt_file_is_refused_until_its_date_is_written_again(
    sandbox: Sandbox, corruption: str, code: str
) -> None:
    authorize(sandbox, "pay_1")
    day = date(2026, 11, 24)
    settled(sandbox, {"date": day.isoformat(), "corrupt": corruption})
    spoilt = sandbox.http.get(f"/v1/settlements/{day}").content
    with pytest.raises(ReportRefused) as refused:
        list(read_report([spoilt], day))
    assert refused.value.code == code
    right = settled(sandbox, {"date": day.isoformat()})
    assert [line["reference"] for line in right] == ["pay_1"]


@pytest.mark.parametrize("corruption", [one for one in Corruption if one is not Corruption.EXTRA])
def test_report_without_a_line_cannot_be_spoilt(untouched: Sandbox, corruption: str) -> None:
    body = {"date": "2026-11-24", "corrupt": corruption}
    answer = untouched.http.post("/_control/settle", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_corrupt")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_control/faults", {"operation": "authorise", "fault": "decline"}),
        ("/_control/faults", {"operation": "authorize", "fault": "explode"}),
        ("/_control/faults", {"operation": "authorize", "fault": "decline", "times": -2}),
        ("/_control/webhooks", {"mode": "shout"}),
        ("/_control/settle", {"date": "tomorrow"}),
        ("/v1/authorizations", {"reference": "pay_1", "amount": 1.5, "currency": "EUR"}),
    ],
)
def test_bad_body_is_refused(untouched: Sandbox, path: str, body: dict[str, Any]) -> None:
    headers = {"idempotency-key": "k", "authorization": "Bearer sk_test"}
    answer = untouched.http.post(path, json=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


def test_vendor_api_demands_its_key_and_health_does_not(untouched: Sandbox) -> None:
    assert authorize(untouched, "pay_1").status_code == 401
    assert untouched.http.get("/healthz").status_code == 200
    assert untouched.effects() == []


def settled(sandbox: Sandbox, body: dict[str, str]) -> list[dict[str, str]]:
    sandbox.http.post("/_control/settle", json=body).raise_for_status()
    report = sandbox.http.get(f"/v1/settlements/{body['date']}").raise_for_status().text
    lines = list(csv.DictReader(io.StringIO(report)))
    # When it was written is no part of what it says.
    return [{name: said for name, said in line.items() if name != "written_at"} for line in lines]
