"""What cannot be built cannot be posted."""

from dataclasses import replace

import pytest

from recompense.ledger.accounts import bank_cash, merchant_available, provider_clearing
from recompense.ledger.postings import (
    LARGEST_AMOUNT,
    OpenHold,
    Phase,
    Posting,
    Transfer,
    TransferRef,
    posting_key,
    resolve,
)

AVAILABLE = merchant_available("mer_1")
CASH = bank_cash("main")
HOLD = Transfer(AVAILABLE, CASH, 100, "EUR", Phase.PENDING)
REF = TransferRef("po_1:reserve:1", 1)


@pytest.mark.parametrize("amount", [0, -1, LARGEST_AMOUNT + 1, True, 1.0])
def test_transfer_of_no_positive_integer_is_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="positive count of minor units"):
        replace(HOLD, amount=amount)


@pytest.mark.parametrize("currency", ["eur", "EURO", "", "XXX", "ABC"])
def test_transfer_in_no_iso_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        replace(HOLD, currency=currency)


def test_transfer_to_its_own_account_is_refused() -> None:
    with pytest.raises(ValueError, match="moves nothing"):
        replace(HOLD, credit=AVAILABLE)


def test_transfer_with_an_unknown_account_is_refused() -> None:
    with pytest.raises(ValueError, match="the chart has no account"):
        replace(HOLD, debit="merchant:mer_1:pocket")


def test_hold_that_resolves_a_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="does not resolve"):
        replace(HOLD, resolves=REF)


@pytest.mark.parametrize("phase", [Phase.VOIDED, Phase.EXPIRED])
def test_giving_back_without_a_hold_is_refused(phase: Phase) -> None:
    with pytest.raises(ValueError, match="names the hold"):
        replace(HOLD, phase=phase)


@pytest.mark.parametrize(
    "key", ["", "po_1", "po_1:reserve", "po_1:reserve:0", "po_1:reserve:1:2", "po 1:reserve:1"]
)
def test_posting_under_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="<operation>:<step>:<attempt>"):
        Posting(key, (HOLD,))


def test_posting_without_transfers_is_refused() -> None:
    with pytest.raises(ValueError, match="no transfers"):
        Posting("po_1:reserve:1", ())


def test_posting_key_names_operation_step_and_attempt() -> None:
    posting = Posting(posting_key("po_1", "reserve", 2), (HOLD,))
    assert (posting.key, posting.operation_id) == ("po_1:reserve:2", "po_1")


def test_reversal_of_a_hold_gives_it_back() -> None:
    reversal = Posting(REF.posting_key, (HOLD,)).reversed("po_1:reserve.undo:1")
    assert reversal.transfers == (replace(HOLD, phase=Phase.VOIDED, resolves=REF),)


def test_reversal_of_what_used_a_hold_moves_back_and_holds_again() -> None:
    used = replace(HOLD, phase=Phase.POSTED, resolves=REF)
    reversal = Posting("po_1:pay:1", (used,)).reversed("po_1:pay.undo:1")
    assert reversal.transfers == (Transfer(CASH, AVAILABLE, 100, "EUR"), HOLD)


def test_reversal_of_several_lines_runs_last_line_first() -> None:
    clearing = provider_clearing("sandbox")
    lines = (Transfer(clearing, AVAILABLE, 5, "EUR"), Transfer(AVAILABLE, CASH, 3, "EUR"))
    reversal = Posting("op:step:1", lines).reversed("op:step.undo:1")
    assert reversal.transfers == (
        Transfer(CASH, AVAILABLE, 3, "EUR"),
        Transfer(AVAILABLE, clearing, 5, "EUR"),
    )


def test_resolving_over_several_holds_uses_them_in_order() -> None:
    second = TransferRef("po_1:reserve:2", 1)
    holds = [
        OpenHold(REF, AVAILABLE, CASH, "EUR", 60),
        OpenHold(second, AVAILABLE, CASH, "EUR", 60),
    ]
    parts = [(part.resolves, part.amount) for part in resolve(holds, 100, Phase.POSTED)]
    assert parts == [(REF, 60), (second, 40)]


def test_resolving_more_than_is_held_is_refused() -> None:
    with pytest.raises(ValueError, match="40 minor units short"):
        resolve([OpenHold(REF, AVAILABLE, CASH, "EUR", 60)], 100, Phase.POSTED)
