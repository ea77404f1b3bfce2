"""What a payer brought back: the same word is the same event, and no record shows it."""

from __future__ import annotations

from datetime import UTC, datetime

from recompense.contracts.payer_actions import (
    PAYER_RETURNED,
    CompleteCall,
    parameters_in,
    payer_event,
    payer_event_id,
)

WORD = {"redirectResult": "X6XtfGC3", "MD": "1"}


def test_same_word_for_the_same_payment_is_the_same_event() -> None:
    assert payer_event_id("pay_1", WORD) == payer_event_id("pay_1", dict(reversed(WORD.items())))
    others = [
        payer_event_id("pay_2", WORD),
        payer_event_id("pay_1", {**WORD, "MD": "2"}),
        payer_event_id("pay_1", {"redirectResult": "X6XtfGC3"}),
        payer_event_id("pay_1", {}),
    ]
    assert len({payer_event_id("pay_1", WORD), *others}) == 5


def test_event_names_the_authorization_and_holds_the_word() -> None:
    event = payer_event("adyen", "pay_1", "pay_1:authorize:1", WORD)
    assert (event.event_id, event.event_type) == (payer_event_id("pay_1", WORD), PAYER_RETURNED)
    assert (event.operation_id, event.effect_key) == ("pay_1", "pay_1:authorize:1")
    assert parameters_in(event.payload) == WORD


def test_call_does_not_show_what_it_hands_over() -> None:
    call = CompleteCall(
        operation_id="pay_1",
        effect_key="pay_1:authorize:1",
        amount=1,
        currency="EUR",
        send_by=datetime.now(UTC),
        idempotency_key="k",
        parameters=WORD,
    )
    assert "X6XtfGC3" not in repr(call)
