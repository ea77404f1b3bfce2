"""What notifications say of an effect: the same in every order, and never a guess."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from adapters.adyen.told import about, found_in
from adapters.adyen.webhooks import key_bytes, verified_events
from recompense.contracts.provider import (
    Absent,
    Approved,
    AuthorizationState,
    Declined,
    Found,
    PayoutState,
    Pending,
    ProviderEvent,
    ProviderOperation,
    Unknown,
)
from recompense.domain.failures import ProviderAnswerMismatch
from tests.support.adyen.signing import (
    ACCOUNT,
    HMAC_KEY,
    TRANSFER_HMAC_KEY,
    item,
    standard,
    transfer,
)

AUTHORIZE = ProviderOperation.AUTHORIZE
CAPTURE = ProviderOperation.CAPTURE
VOID = ProviderOperation.VOID
REFUND = ProviderOperation.REFUND
PAYOUT = ProviderOperation.CREATE_PAYOUT


def events(*items: dict[str, Any]) -> list[ProviderEvent]:
    sent = standard(*items)
    return list(read(sent.headers, sent.body))


def transfers(*statuses: str, amount: int = 1_000, transfer_id: str = "TR1") -> list[ProviderEvent]:
    sent = [transfer(transfer_id, "po_1/payout/1", status, (amount, "EUR")) for status in statuses]
    return [event for one in sent for event in read(one.headers, one.body)]


def read(headers: dict[str, str], body: bytes) -> tuple[ProviderEvent, ...]:
    return verified_events(
        headers,
        body,
        merchant_account=ACCOUNT,
        keys=[key_bytes(HMAC_KEY)],
        transfer_keys=[key_bytes(TRANSFER_HMAC_KEY)],
    )


def told(code: str, success: bool = True, psp: str = "PSP1") -> dict[str, Any]:
    return item(code, psp, "cap_1/capture/1", success=success, original="PAYMENT1")


def found(operation: ProviderOperation, *items: dict[str, Any]) -> Found:
    """The one thing that all orders and repetitions of these say."""
    answers = [
        found_in([*order, *order], operation, 1_000, "EUR")
        for order in permutations(events(*items))
    ]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (AUTHORIZE, "AUTHORISATION"),
        (CAPTURE, "CAPTURE"),
        (VOID, "CANCELLATION"),
        (REFUND, "REFUND"),
    ],
)
def test_success_is_approved_and_failure_declined(operation: ProviderOperation, code: str) -> None:
    assert found(operation, told(code)).answer == Approved(reference="PSP1")
    assert isinstance(found(operation, told(code, success=False)).answer, Declined)


@pytest.mark.parametrize("operation", [AUTHORIZE, CAPTURE, VOID, REFUND, PAYOUT])
def test_nothing_told_is_absent(operation: ProviderOperation) -> None:
    assert found_in([], operation, 1_000, "EUR").answer == Absent()
    strange = events(told("CHARGEBACK"), told("REPORT_AVAILABLE"))
    assert found_in(strange, operation, 1_000, "EUR").answer == Absent()


@pytest.mark.parametrize(
    ("operation", "code", "reversal", "reason"),
    [
        (CAPTURE, "CAPTURE", "CAPTURE_FAILED", "capture_reversed"),
        (REFUND, "REFUND", "REFUND_FAILED", "refund_reversed"),
        (REFUND, "REFUND", "REFUNDED_REVERSED", "refund_reversed"),
    ],
)
def test_reversal_wins_in_every_order(
    operation: ProviderOperation, code: str, reversal: str, reason: str
) -> None:
    answer = found(operation, told(code), told(reversal)).answer
    assert isinstance(answer, Declined)
    assert answer.code == reason
    assert found(operation, told(code), told(reversal, success=False)).answer.kind == "approved"


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (AUTHORIZE, "AUTHORISATION"),
        (CAPTURE, "CAPTURE"),
        (VOID, "CANCELLATION"),
        (REFUND, "REFUND"),
    ],
)
def test_contradiction_is_unknown(operation: ProviderOperation, code: str) -> None:
    assert isinstance(found(operation, told(code), told(code, success=False)).answer, Unknown)


def test_authorization_shows_how_it_ended() -> None:
    made = told("AUTHORISATION")
    assert found(AUTHORIZE, made).authorization_state is AuthorizationState.AUTHORIZED
    expired = found(AUTHORIZE, made, told("EXPIRE", psp="PSP2"))
    assert expired.answer.kind == "approved"
    assert expired.authorization_state is AuthorizationState.EXPIRED
    canceled = found(AUTHORIZE, made, told("TECHNICAL_CANCEL", psp="PSP2"))
    assert canceled.authorization_state is AuthorizationState.VOIDED
    pending = found(AUTHORIZE, told("PENDING"))
    assert pending.answer == Pending(reference="PSP1")
    assert pending.authorization_state is AuthorizationState.PENDING
    closed = found(AUTHORIZE, told("OFFER_CLOSED"))
    assert isinstance(closed.answer, Declined)
    assert closed.authorization_state is AuthorizationState.DECLINED


@pytest.mark.parametrize(
    "changed",
    [
        item("CAPTURE", "PSP1", "cap_1/capture/1", (999, "EUR")),
        item("CAPTURE", "PSP1", "cap_1/capture/1", (1_000, "USD")),
        item("CAPTURE", "PSP2", "cap_1/capture/1"),
    ],
)
def test_other_money_or_a_second_object_is_a_mismatch(changed: dict[str, Any]) -> None:
    both = (
        events(told("CAPTURE"), changed) if changed["pspReference"] == "PSP2" else events(changed)
    )
    with pytest.raises(ProviderAnswerMismatch):
        found_in(both, CAPTURE, 1_000, "EUR")


def test_voids_notification_may_tell_the_whole_authorization() -> None:
    void = events(item("CANCELLATION", "PSP1", "pay_1/void.1/1", (10_000, "EUR")))
    assert found_in(void, VOID, 600, "EUR").answer == Approved(reference="PSP1")


def test_modification_named_by_its_payment_is_known_by_adyens_reference() -> None:
    named = events(
        item("AUTHORISATION", "PAYMENT1", "pay_1/authorize/1"),
        item("CAPTURE", "PSP1", "pay_1/authorize/1", (400, "EUR"), original="PAYMENT1"),
        item("CAPTURE", "PSP2", "pay_1/authorize/1", (600, "EUR"), original="PAYMENT1"),
        item("CAPTURE_FAILED", "PSP2", "pay_1/authorize/1", (600, "EUR"), original="PAYMENT1"),
    )

    def captured(reference: str | None, amount: int) -> object:
        return found_in(about(named, "cap_1:capture:1", reference), CAPTURE, amount, "EUR").answer

    assert captured("PSP1", 400) == Approved(reference="PSP1")
    assert isinstance(captured("PSP2", 600), Declined)
    assert captured(None, 400) == Absent()
    paid = found_in(about(named, "pay_1:authorize:1", "PAYMENT1"), AUTHORIZE, 1_000, "EUR")
    assert paid.answer == Approved(reference="PAYMENT1")


@pytest.mark.parametrize(
    ("statuses", "kind", "state"),
    [
        (["received"], "pending", PayoutState.IN_TRANSIT),
        (["received", "authorised", "somethingNew"], "pending", PayoutState.IN_TRANSIT),
        (["received", "authorised", "booked"], "approved", PayoutState.PAID),
        (["booked", "returned"], "approved", PayoutState.RETURNED),
        (["received", "refused"], "declined", PayoutState.FAILED),
        (["received", "authorised", "failed"], "declined", PayoutState.FAILED),
        (["received", "cancelled"], "declined", PayoutState.CANCELED),
        (["booked", "failed"], "unknown", None),
    ],
)
def test_transfer_stands_where_its_notifications_say(
    statuses: list[str], kind: str, state: PayoutState | None
) -> None:
    for order in permutations(transfers(*statuses)):
        told_of = found_in([*order, *order], PAYOUT, 1_000, "EUR")
        assert (told_of.answer.kind, told_of.payout_state) == (kind, state)


def test_transfer_of_another_amount_or_a_second_one_is_a_mismatch() -> None:
    for told_of in (
        transfers("booked", amount=999),
        [*transfers("booked"), *transfers("booked", transfer_id="TR2")],
    ):
        with pytest.raises(ProviderAnswerMismatch):
            found_in(told_of, PAYOUT, 1_000, "EUR")


def test_stored_payload_of_another_shape_says_nothing() -> None:
    event = events(told("CAPTURE"))[0].model_copy(update={"payload": {"word": 7}})
    assert found_in([event], CAPTURE, 1_000, "EUR").answer == Absent()
