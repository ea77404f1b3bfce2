"""Adyen's answers: each known word has one meaning, and what is not known is never final."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapters.adyen.refusals import card_decline
from adapters.adyen.translate import (
    Asked,
    completion_outcome,
    modification_outcome,
    payment_outcome,
    transfer_outcome,
)
from adapters.transport import ProviderAnswer
from recompense.contracts.provider import Approved, Declined, Outcome, Pending, RequiresAction
from recompense.domain.failures import (
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderAnswerMismatch,
    ProviderUnavailable,
)

REFERENCE = "pay_1/authorize/1"
ASKED = Asked(REFERENCE, 1_000, "EUR", "TestMerchant", "PAYMENT1", 30)
AMOUNT = {"value": 1_000, "currency": "EUR"}
PAID: dict[str, Any] = {
    "pspReference": "PSP1",
    "merchantReference": REFERENCE,
    "amount": AMOUNT,
    "resultCode": "Authorised",
}
TAKEN: dict[str, Any] = {
    "status": "received",
    "merchantAccount": "TestMerchant",
    "paymentPspReference": "PAYMENT1",
    "pspReference": "PSP2",
    "reference": REFERENCE,
    "amount": AMOUNT,
}
SENT: dict[str, Any] = {
    "id": "TR1",
    "reference": REFERENCE,
    "amount": AMOUNT,
    "status": "received",
    "category": "bank",
}


def answered(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    return ProviderAnswer(status, httpx.Headers(headers), json.dumps(body).encode())


def paid(**changes: Any) -> Outcome:
    return payment_outcome(answered({**PAID, **changes}), ASKED)


def test_authorised_is_approved_under_adyens_reference() -> None:
    assert paid() == Approved(reference="PSP1")


@pytest.mark.parametrize("missing", ["pspReference", "merchantReference", "amount"])
def test_authorised_without_saying_what_is_unknown(missing: str) -> None:
    with pytest.raises(OutcomeUnknown):
        paid(**{missing: None})


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"value": 1_001, "currency": "EUR"}},
        {"amount": {"value": 1_000, "currency": "USD"}},
        {"amount": {"value": 1_000, "currency": "ZZZ"}},
        {"merchantReference": "pay_2/authorize/1"},
        {"resultCode": "PartiallyAuthorised"},
    ],
)
def test_answer_about_something_else_is_a_mismatch(changes: dict[str, Any]) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        paid(**changes)


@pytest.mark.parametrize(
    ("reason", "code", "elsewhere"),
    [
        ("2", "card_declined", False),
        ("6", "expired_card", False),
        ("9", "issuer_unavailable", True),
        ("12", "insufficient_funds", False),
        ("20", "suspected_fraud", False),
        ("38", "authentication_failed", False),
        ("999", "provider_declined", False),
        (None, "provider_declined", False),
    ],
)
@pytest.mark.parametrize("result", ["Refused", "Error"])
def test_final_refusals_are_declined_by_their_code(
    result: str, reason: str | None, code: str, elsewhere: bool
) -> None:
    outcome = paid(resultCode=result, refusalReasonCode=reason, refusalReason="Approved")
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.provider_code) == (code, reason)
    assert outcome.retryable_elsewhere is elsewhere


def test_cancelled_is_given_up() -> None:
    outcome = paid(resultCode="Cancelled")
    assert isinstance(outcome, Declined)
    assert outcome.code == "abandoned"


def test_redirect_asks_the_payer_to_act_also_before_adyen_names_the_payment() -> None:
    action = {"type": "redirect", "url": "https://acs.example/1", "method": "GET"}
    told = paid(resultCode="RedirectShopper", action=action)
    assert told == RequiresAction(reference="PSP1", redirect_url="https://acs.example/1")
    unnamed = paid(resultCode="RedirectShopper", action=action, pspReference=None)
    assert unnamed == RequiresAction(reference=REFERENCE, redirect_url="https://acs.example/1")


@pytest.mark.parametrize(
    "result",
    ["Pending", "Received", "PresentToShopper", "ChallengeShopper", "AuthenticationFinished"],
)
def test_results_that_come_later_are_pending(result: str) -> None:
    assert paid(resultCode=result) == Pending(reference="PSP1")


@settings(deadline=None)
@given(st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), min_size=1))
def test_result_that_nobody_knows_is_never_final(result: str) -> None:
    known = {"Authorised", "Refused", "Error", "Cancelled", "PartiallyAuthorised"}
    assume(result not in known and len(result) <= 40)
    assert paid(resultCode=result) == Pending(reference="PSP1")
    with pytest.raises(OutcomeUnknown):
        paid(resultCode=result, pspReference=None)


def test_modification_is_pending_at_best() -> None:
    for status in ("received", "meditating"):
        outcome = modification_outcome(answered({**TAKEN, "status": status}, 201), ASKED)
        assert outcome == Pending(reference="PSP2")


@pytest.mark.parametrize(
    "changes",
    [
        {"merchantAccount": "Another"},
        {"paymentPspReference": "PAYMENT2"},
        {"reference": "pay_1/authorize/2"},
        {"amount": {"value": 999, "currency": "EUR"}},
    ],
)
def test_modification_of_something_else_is_a_mismatch(changes: dict[str, Any]) -> None:
    with pytest.raises(ProviderAnswerMismatch):
        modification_outcome(answered({**TAKEN, **changes}, 201), ASKED)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("received", Pending), ("booked", Pending), ("anything", Pending), ("refused", Declined)],
)
def test_transfer_is_pending_until_its_notification(status: str, kind: type) -> None:
    assert isinstance(transfer_outcome(answered({**SENT, "status": status}, 202), ASKED), kind)


def refusal(status: int, kind: str, code: str = "702", told: int | None = None) -> Outcome:
    body = {"status": told or status, "errorCode": code, "errorType": kind, "message": "?"}
    return payment_outcome(answered(body, status), ASKED)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("kind", ["validation", "configuration"])
def test_refused_request_did_nothing(status: int, kind: str) -> None:
    outcome = refusal(status, kind)
    assert isinstance(outcome, Declined)
    assert (outcome.code, outcome.provider_code) == ("provider_refused_request", "702")


@pytest.mark.parametrize(
    ("status", "kind", "code", "told"),
    [
        (422, "validation", "704", None),
        (422, "internal", "905", None),
        (409, "validation", "702", None),
        (404, "validation", "702", None),
        (422, "validation", "702", 500),
    ],
)
def test_refusal_that_may_hide_an_effect_is_unknown(
    status: int, kind: str, code: str, told: int | None
) -> None:
    with pytest.raises(OutcomeUnknown):
        refusal(status, kind, code, told)


def test_security_refusal_is_access_denied() -> None:
    with pytest.raises(ProviderAccessDenied):
        refusal(422, "security")


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (401, ProviderAccessDenied),
        (403, ProviderAccessDenied),
        (429, ProviderUnavailable),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
    ],
)
@pytest.mark.parametrize(
    "read", [payment_outcome, completion_outcome, modification_outcome, transfer_outcome]
)
def test_http_statuses_speak_before_bodies(read: Any, status: int, failure: type) -> None:
    with pytest.raises(failure):
        read(answered(PAID, status), ASKED)


def test_every_listed_reason_has_a_code() -> None:
    codes = {card_decline(str(number)).code for number in range(2, 47)}
    assert {"card_declined", "insufficient_funds", "expired_card", "invalid_card"} <= codes


def completed(status: int = 200, **changes: Any) -> Outcome | None:
    return completion_outcome(answered({**PAID, **changes}, status), ASKED)


def test_payer_s_word_is_answered_as_a_payment_is() -> None:
    assert completed() == Approved(reference="PSP1")
    declined = completed(resultCode="Refused", refusalReasonCode="11")
    assert isinstance(declined, Declined)
    assert declined.code == "authentication_failed"
    assert completed(resultCode="Received") == Pending(reference="PSP1")
    action = {"type": "redirect", "url": "https://acs.example/2", "method": "GET"}
    again = completed(resultCode="RedirectShopper", action=action)
    assert again == RequiresAction(reference="PSP1", redirect_url="https://acs.example/2")


def test_payer_s_word_about_another_payment_concludes_nothing() -> None:
    assert completed(merchantReference="pay_2/authorize/1") is None


def test_payer_s_word_that_adyen_refuses_concludes_nothing() -> None:
    body = {"status": 422, "errorCode": "14_012", "errorType": "validation"}
    assert completion_outcome(answered(body, 422), ASKED) is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(422, "704", "validation"), (500, "000", "internal"), (422, "1", "internal")],
)
def test_payer_s_word_that_may_have_been_taken_is_unknown(
    status: int, code: str, kind: str
) -> None:
    body = {"status": status, "errorCode": code, "errorType": kind}
    with pytest.raises(OutcomeUnknown):
        completion_outcome(answered(body, status), ASKED)


def test_other_amount_after_the_payer_s_word_is_a_mismatch() -> None:
    with pytest.raises(ProviderAnswerMismatch):
        completed(amount={"value": 1_001, "currency": "EUR"})
