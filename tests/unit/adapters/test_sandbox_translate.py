"""The translation is total: whatever comes back is an outcome or one of our failures, and nothing
is guessed.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.sandbox.translate import AlreadyDone, Asked, found_in, outcome_of
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
    Found,
    Outcome,
    PayoutState,
    Pending,
    ProviderOperation,
    RequiresAction,
)
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)

MONEY = {
    ProviderOperation.AUTHORIZE: "authorization",
    ProviderOperation.CAPTURE: "capture",
    ProviderOperation.VOID: "void",
    ProviderOperation.REFUND: "refund",
    ProviderOperation.CREATE_PAYOUT: "payout",
    ProviderOperation.CANCEL_PAYOUT: "payout_cancellation",
}
FAILURES = (OutcomeUnknown, ProviderUnavailable, ProviderAccessDenied)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def asked(operation: ProviderOperation = ProviderOperation.AUTHORIZE) -> Asked:
    return Asked(operation, "pay_1", "pay_1:authorize:1", 1000, "EUR", 30)


def vendor_object(**changes: object) -> dict[str, Any]:
    return {
        "id": "au_1",
        "object": "authorization",
        "reference": "pay_1",
        "idempotency_key": "pay_1:authorize:1",
        "amount": 1000,
        "currency": "EUR",
        "status": "authorized",
        **changes,
    }


def answer(status: int, body: object) -> ProviderAnswer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ProviderAnswer(status, httpx.Headers(), raw)


def outcome(http_status: int, **changes: object) -> Outcome:
    return outcome_of(answer(http_status, vendor_object(**changes)), asked())


@given(st.integers(100, 599), st.binary(max_size=200), st.sampled_from(sorted(MONEY)))
def test_any_bytes_give_a_failure_and_never_an_outcome(
    status: int, body: bytes, operation: ProviderOperation
) -> None:
    with pytest.raises(FAILURES):
        outcome_of(answer(status, body), asked(operation))
    with pytest.raises(FAILURES):
        found_in(answer(status, body), asked(operation))


@given(st.integers(100, 599), JSON_VALUES)
def test_any_json_gives_a_failure_and_never_an_outcome(status: int, body: object) -> None:
    with pytest.raises(FAILURES):
        outcome_of(answer(status, body), asked())


@given(
    st.integers(100, 599),
    st.fixed_dictionaries(
        {},
        optional={name: JSON_VALUES for name in (*vendor_object(), "decline", "redirect_url")},
    ),
)
def test_any_field_spoilt_is_never_an_approval_of_something_else(
    status: int, changes: dict[str, object]
) -> None:
    body = vendor_object(**changes)
    try:
        told = outcome_of(answer(status, body), asked())
    except FAILURES:
        return
    if isinstance(told, Approved):
        assert 200 <= status < 300
        assert {**vendor_object(), **body, "status": "", "id": ""} == {
            **body,
            **vendor_object(),
            "status": "",
            "id": "",
        }


@given(st.text(min_size=1, max_size=64), st.sampled_from(sorted(MONEY)))
def test_any_unlisted_status_is_pending_or_unknown(
    status: str, operation: ProviderOperation
) -> None:
    body = vendor_object(object=MONEY[operation], status=f"x{status}"[:64])
    try:
        told = outcome_of(answer(200, body), asked(operation))
    except OutcomeUnknown:
        return
    assert told == Pending(reference="au_1")


@pytest.mark.parametrize("operation", sorted(MONEY))
@pytest.mark.parametrize("status", ["declined", "pending", "requires_action", "open"])
def test_unfinished_and_refused_statuses_are_never_approved(
    operation: ProviderOperation, status: str
) -> None:
    body = vendor_object(object=MONEY[operation], status=status)
    told = outcome_of(answer(200, body), asked(operation))
    assert isinstance(told, Declined if status == "declined" else Pending)


@pytest.mark.parametrize("operation", sorted(MONEY))
@pytest.mark.parametrize("status", ["abandoned", "canceled", "voided", "paid", "captured"])
def test_final_word_of_another_kind_of_object_is_not_final(
    operation: ProviderOperation, status: str
) -> None:
    kinds = {
        "abandoned": {"authorization", "payout"},
        "canceled": {"payout"},
        "paid": {"payout"},
        "voided": {"authorization"},
        "captured": {"authorization"},
    }
    told = outcome_of(
        answer(200, vendor_object(object=MONEY[operation], status=status)), asked(operation)
    )
    assert isinstance(told, Pending) == (MONEY[operation] not in kinds[status])


def test_payer_action_without_address_is_pending() -> None:
    url = "https://bank.example/3ds/1"
    assert isinstance(outcome(202, status="requires_action"), Pending)
    assert outcome(202, status="requires_action", redirect_url=url) == RequiresAction(
        reference="au_1", redirect_url=url
    )


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 1001},
        {"currency": "USD"},
        {"reference": "pay_2"},
        {"idempotency_key": "pay_1:authorize:2"},
        {"object": "capture"},
    ],
)
def test_answer_about_something_else_is_a_mismatch(change: dict[str, object]) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        outcome(201, **change)
    with pytest.raises(ProviderAnswerMismatch):
        found_in(answer(200, {"data": [vendor_object(**change)]}), asked())


@pytest.mark.parametrize("amount", [1000.0, "1000", True, None, 0, -1000])
def test_amount_that_is_no_positive_integer_is_unknown(amount: object) -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(201, amount=amount)


def test_refusal_that_shows_a_success_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        outcome(402, status="authorized")
    assert isinstance(outcome(402, status="declined"), Declined)


def test_unlisted_decline_code_is_a_generic_decline_without_vendor_text() -> None:
    told = outcome(402, status="declined", decline={"code": "<script>", "message": "4242"})
    assert told == Declined(code="provider_declined", message="The provider declined it.")


@pytest.mark.parametrize(
    ("status", "code", "failure"),
    [
        (409, "idempotency_key_in_progress", OutcomeUnknown),
        (422, "idempotency_key_reused", ProviderAnswerMismatch),
        (409, "already_captured", AlreadyDone),
        (409, "a_code_of_tomorrow", OutcomeUnknown),
        (408, "not_found", OutcomeUnknown),
        (500, "not_found", OutcomeUnknown),
        (503, "not_found", ProviderUnavailable),
        (429, "not_found", ProviderUnavailable),
        (401, "not_found", ProviderAccessDenied),
        (403, "not_found", ProviderAccessDenied),
    ],
)
def test_error_code_has_its_failure(status: int, code: str, failure: type[Exception]) -> None:
    with pytest.raises(failure):
        outcome_of(answer(status, {"error": {"code": code, "message": "?"}}), asked())


def test_documented_refusal_is_a_decline_in_our_words() -> None:
    body = {"error": {"code": "amount_exceeds_authorized", "message": "Only 3 is left."}}
    told = outcome_of(answer(409, body), asked())
    assert isinstance(told, Declined)
    assert told.code == "amount_exceeds_capturable"
    assert told.provider_code == "amount_exceeds_authorized"


def test_lookup_without_object_is_absent_and_with_two_a_mismatch() -> None:
    assert found_in(answer(200, {"data": []}), asked()) == Found(answer=Absent())
    with pytest.raises(ProviderAnswerMismatch):
        found_in(answer(200, {"data": [vendor_object(), vendor_object()]}), asked())


def test_lookup_of_a_voided_authorization_says_made_and_voided() -> None:
    found = found_in(answer(200, {"data": [vendor_object(status="voided")]}), asked())
    assert isinstance(found.answer, Approved)
    assert found.authorization_state is AuthorizationState.VOIDED


@pytest.mark.parametrize(
    ("status", "state", "kind"),
    [
        ("pending", None, Pending),
        ("in_transit", PayoutState.IN_TRANSIT, Pending),
        ("paid", PayoutState.PAID, Approved),
        ("returned", PayoutState.RETURNED, Approved),
        ("canceled", PayoutState.CANCELED, Declined),
        ("abandoned", PayoutState.CANCELED, Declined),
        ("declined", PayoutState.FAILED, Declined),
    ],
)
def test_lookup_of_a_payout_tells_where_it_stands(
    status: str, state: PayoutState | None, kind: type[Outcome]
) -> None:
    body = {"data": [vendor_object(object="payout", status=status)]}
    found = found_in(answer(200, body), asked(ProviderOperation.CREATE_PAYOUT))
    assert isinstance(found.answer, kind)
    assert found.payout_state is state
