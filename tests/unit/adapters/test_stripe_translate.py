"""The translation is total: whatever comes back is an outcome or one of our failures, and nothing
is guessed.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.stripe.translate import (
    RefusedHere,
    found_object,
    outcome_of,
    read_object,
    read_page,
    the_one_of,
)
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
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
from tests.support.stripe_bodies import (
    OPERATION_IDS,
    answer,
    asked,
    charge,
    error,
    intent,
    made_by,
    payout,
    refund,
    transfer,
)

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID
REFUND = ProviderOperation.REFUND
CREATE_PAYOUT = ProviderOperation.CREATE_PAYOUT
CANCEL_PAYOUT = ProviderOperation.CANCEL_PAYOUT
MONEY = sorted(OPERATION_IDS)
FAILURES = (OutcomeUnknown, ProviderUnavailable, ProviderAccessDenied)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def told(operation: ProviderOperation, body: object, **changes: Any) -> Outcome:
    return outcome_of(answer(200, body), asked(operation, **changes))


@pytest.mark.parametrize("operation", MONEY)
def test_object_that_shows_the_effect_is_approved(operation: ProviderOperation) -> None:
    assert isinstance(told(operation, made_by(operation)), Approved)


@given(st.integers(100, 599), st.binary(max_size=200), st.sampled_from(MONEY))
def test_any_bytes_give_a_failure_and_never_an_outcome(
    status: int, body: bytes, operation: ProviderOperation
) -> None:
    with pytest.raises(FAILURES):
        outcome_of(answer(status, body), asked(operation))
    with pytest.raises(FAILURES):
        read_page(answer(status, body), asked(operation))


@given(st.integers(100, 599), JSON_VALUES, st.sampled_from(MONEY))
def test_any_json_gives_a_failure_and_never_an_outcome(
    status: int, body: object, operation: ProviderOperation
) -> None:
    with pytest.raises(FAILURES):
        outcome_of(answer(status, body), asked(operation))


@given(st.integers(200, 299), st.sampled_from(MONEY), st.data())
def test_any_field_spoilt_is_never_an_approval_of_something_else(
    status: int, operation: ProviderOperation, data: st.DataObject
) -> None:
    good = made_by(operation)
    # A capture and a void are not of the whole payment's amount.
    names = {"object", "amount", "currency", "metadata", "status", "amount_received"}
    names -= {"amount"} if operation in (CAPTURE, VOID) else {"amount_received"}
    changes = data.draw(
        st.fixed_dictionaries({}, optional={name: JSON_VALUES for name in names & set(good)})
    )
    try:
        outcome = outcome_of(answer(status, {**good, **changes}), asked(operation))
    except FAILURES:
        return
    if isinstance(outcome, Approved) and operation is not VOID:
        assert all(good[name] == value for name, value in changes.items())


@given(st.text(min_size=1, max_size=60), st.sampled_from(MONEY))
def test_any_unlisted_status_is_pending_or_unknown(
    status: str, operation: ProviderOperation
) -> None:
    try:
        outcome = told(operation, made_by(operation, status=f"x{status}"))
    except OutcomeUnknown:
        return
    assert isinstance(outcome, Pending)


@pytest.mark.parametrize(
    ("status", "kind", "state"),
    [
        ("requires_capture", Approved, AuthorizationState.AUTHORIZED),
        ("succeeded", Approved, AuthorizationState.AUTHORIZED),
        ("processing", Pending, AuthorizationState.PENDING),
        ("requires_confirmation", Pending, AuthorizationState.PENDING),
        ("requires_payment_method", Pending, None),
        ("requires_action", Pending, AuthorizationState.REQUIRES_ACTION),
        ("requires_something_new", Pending, None),
    ],
)
def test_status_of_a_payment_tells_its_authorization(
    status: str, kind: type[Outcome], state: AuthorizationState | None
) -> None:
    found = found_object(intent(status=status), asked())
    assert isinstance(found.answer, kind)
    assert found.authorization_state is state


def test_authorization_lapses_when_the_charge_says() -> None:
    outcome = told(AUTHORIZE, intent(latest_charge=charge()))
    assert isinstance(outcome, Approved)
    assert outcome.expires_at is not None
    assert int(outcome.expires_at.timestamp()) == 1_796_000_000


def test_payer_action_needs_an_address() -> None:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks.example/3ds"}}
    outcome = told(AUTHORIZE, intent(status="requires_action", next_action=action))
    assert outcome == RequiresAction(reference="pi_1", redirect_url="https://hooks.example/3ds")
    script = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    assert isinstance(
        told(AUTHORIZE, intent(status="requires_action", next_action=script)), Pending
    )


@pytest.mark.parametrize(
    ("latest", "reason", "kind", "state"),
    [
        (charge(), "requested_by_customer", Approved, AuthorizationState.VOIDED),
        (charge(), "automatic", Approved, AuthorizationState.EXPIRED),
        (charge(status="failed"), None, Declined, AuthorizationState.VOIDED),
        (None, None, Declined, AuthorizationState.VOIDED),
    ],
)
def test_canceled_payment_was_authorized_only_with_a_good_charge(
    latest: object, reason: str | None, kind: type[Outcome], state: AuthorizationState
) -> None:
    body = intent(status="canceled", latest_charge=latest, cancellation_reason=reason)
    found = found_object(body, asked())
    assert isinstance(found.answer, kind)
    assert found.authorization_state is state


def test_canceled_payment_whose_charge_is_not_shown_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        found_object(intent(status="canceled"), asked())


@pytest.mark.parametrize(
    ("decline", "code", "elsewhere"),
    [
        ("insufficient_funds", "insufficient_funds", False),
        ("expired_card", "expired_card", False),
        ("stolen_card", "card_declined", False),
        ("fraudulent", "card_declined", False),
        ("try_again_later", "card_declined", True),
        ("processing_error", "card_declined", True),
        ("currency_not_supported", "card_not_supported", True),
        ("a_code_of_tomorrow", "card_declined", False),
    ],
)
def test_card_error_is_a_decline_in_our_words(decline: str, code: str, elsewhere: bool) -> None:
    members = {"type": "card_error", "code": "card_declined", "decline_code": decline}
    for body in (error(**members), error(**members, payment_intent=intent())):
        outcome = outcome_of(answer(402, body), asked())
        assert isinstance(outcome, Declined)
        assert (outcome.code, outcome.provider_code) == (code, decline)
        assert outcome.retryable_elsewhere is elsewhere
    failed = intent(status="requires_payment_method", last_payment_error=members)
    found = found_object(failed, asked())
    assert isinstance(found.answer, Declined)
    assert found.answer.code == code
    assert found.authorization_state is AuthorizationState.DECLINED


def test_card_error_about_another_payment_is_a_mismatch() -> None:
    other = intent(metadata={"operation_id": "pay_2", "effect_key": "pay_2:authorize:1"})
    body = error(type="card_error", code="card_declined", payment_intent=other)
    with pytest.raises(ProviderAnswerMismatch):
        outcome_of(answer(402, body), asked())


@pytest.mark.parametrize("operation", MONEY)
@pytest.mark.parametrize(
    "change",
    [
        {"currency": "usd"},
        {"metadata": {}},
        {"metadata": {"operation_id": "pay_9", "effect_key": "pay_9:authorize:1"}},
        {"object": "charge"},
    ],
)
def test_answer_about_something_else_is_a_mismatch(
    operation: ProviderOperation, change: dict[str, object]
) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        told(operation, made_by(operation, **change))


@pytest.mark.parametrize("operation", [AUTHORIZE, REFUND, CREATE_PAYOUT, CANCEL_PAYOUT])
def test_another_amount_is_a_mismatch(operation: ProviderOperation) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        told(operation, made_by(operation, amount=1_001))


@pytest.mark.parametrize(
    ("received", "several", "right"),
    [(1_000, False, True), (999, False, False), (1_001, False, False), (1_500, True, True)],
)
def test_capture_is_proved_by_what_was_received(received: int, several: bool, right: bool) -> None:
    body = intent(CAPTURE, amount=2_000, amount_received=received)
    if right:
        assert told(CAPTURE, body, several_captures=several) == Approved(reference="ch_1")
        return
    with pytest.raises(ProviderAnswerMismatch):
        told(CAPTURE, body, several_captures=several)


def test_capture_without_proof_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        told(CAPTURE, intent(CAPTURE, amount_received=None))


@pytest.mark.parametrize("operation", [VOID, CANCEL_PAYOUT])
@pytest.mark.parametrize("status", ["requires_capture", "succeeded", "pending", "paid", "failed"])
def test_marked_object_that_is_not_canceled_shows_no_cancellation(
    operation: ProviderOperation, status: str
) -> None:
    known = (status in ("requires_capture", "succeeded")) is (operation is VOID)
    found = found_object(made_by(operation, status=status), asked(operation))
    assert isinstance(found.answer, Absent if known else Pending)


@pytest.mark.parametrize(
    ("changes", "kind", "state"),
    [
        ({"status": "pending"}, Pending, PayoutState.IN_TRANSIT),
        ({"status": "in_transit"}, Pending, PayoutState.IN_TRANSIT),
        ({"status": "paid"}, Approved, PayoutState.PAID),
        ({"status": "canceled"}, Declined, PayoutState.CANCELED),
        ({"status": "failed", "failure_code": "account_closed"}, Declined, PayoutState.FAILED),
        (
            {"status": "failed", "failure_balance_transaction": "txn_1"},
            Approved,
            PayoutState.RETURNED,
        ),
        ({"status": "lost_in_the_mail"}, Pending, None),
    ],
)
def test_payout_tells_where_it_stands(
    changes: dict[str, Any], kind: type[Outcome], state: PayoutState | None
) -> None:
    found = found_object(payout(**changes), asked(CREATE_PAYOUT))
    assert isinstance(found.answer, kind)
    assert found.payout_state is state


def test_transfer_has_arrived_when_it_is_made_and_may_come_back() -> None:
    there = found_object(transfer(), asked(CREATE_PAYOUT))
    back = found_object(transfer(amount_reversed=1_000), asked(CREATE_PAYOUT))
    assert (there.answer.kind, there.payout_state) == ("approved", PayoutState.PAID)
    assert (back.answer.kind, back.payout_state) == ("approved", PayoutState.RETURNED)
    with pytest.raises(ProviderAnswerMismatch):
        found_object(transfer(amount_reversed=1_001), asked(CREATE_PAYOUT))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("succeeded", Approved),
        ("pending", Pending),
        ("requires_action", Pending),
        (None, Pending),
        ("failed", Declined),
        ("canceled", Declined),
    ],
)
def test_refund_tells_where_it_stands(status: str | None, kind: type[Outcome]) -> None:
    assert isinstance(told(REFUND, refund(status=status)), kind)


@pytest.mark.parametrize(
    ("status", "members", "failure"),
    [
        (400, {"type": "idempotency_error"}, ProviderAnswerMismatch),
        (409, {"type": "idempotency_error"}, OutcomeUnknown),
        (409, {"type": "invalid_request_error", "code": "lock_timeout"}, OutcomeUnknown),
        (400, {"type": "api_error"}, OutcomeUnknown),
        (418, {"type": "invalid_request_error"}, OutcomeUnknown),
        (408, {"type": "invalid_request_error"}, OutcomeUnknown),
        (500, {"type": "api_error"}, OutcomeUnknown),
        (503, {"type": "api_error"}, OutcomeUnknown),
        (429, {"type": "invalid_request_error", "code": "rate_limit"}, ProviderUnavailable),
        (401, {"type": "invalid_request_error"}, ProviderAccessDenied),
        (403, {"type": "invalid_request_error"}, ProviderAccessDenied),
    ],
)
def test_error_has_its_failure(
    status: int, members: dict[str, str], failure: type[Exception]
) -> None:
    with pytest.raises(failure):
        outcome_of(answer(status, error(**members)), asked())


@pytest.mark.parametrize("status", [400, 404])
def test_refused_request_is_a_decline_where_nothing_can_have_been_done(status: int) -> None:
    body = error(type="invalid_request_error", code="resource_missing")
    outcome = outcome_of(answer(status, body), asked())
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.provider_code) == (
        "provider_object_not_found",
        "resource_missing",
    )


@pytest.mark.parametrize("operation", [CAPTURE, VOID, REFUND, CANCEL_PAYOUT])
def test_refused_change_of_an_object_has_to_be_read_again(operation: ProviderOperation) -> None:
    body = error(type="invalid_request_error", code="payment_intent_unexpected_state")
    with pytest.raises(RefusedHere) as raised:
        outcome_of(answer(400, body), asked(operation, target="pi_1"))
    assert raised.value.refusal.code.endswith(("able", "cancelable"))


def test_page_shows_the_one_object_of_an_effect() -> None:
    other = intent(metadata={"effect_key": "pay_1:authorize:2"})
    body = {"object": "list", "data": [other, intent()], "has_more": False}
    page = read_page(answer(200, body), asked())
    assert the_one_of(page, asked()) == intent()
    double = {"object": "list", "data": [intent(), intent(id="pi_2")], "has_more": False}
    with pytest.raises(ProviderAnswerMismatch):
        the_one_of(read_page(answer(200, double), asked()), asked())


def test_empty_page_that_promises_more_is_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        read_page(answer(200, {"object": "list", "data": [], "has_more": True}), asked())


def test_object_is_missing_only_where_stripe_says_so() -> None:
    missing = error(type="invalid_request_error", code="resource_missing")
    assert read_object(answer(404, missing), asked()) is None
    for body in (b"no such page", error(type="invalid_request_error")):
        with pytest.raises(OutcomeUnknown):
            read_object(answer(404, body), asked())
