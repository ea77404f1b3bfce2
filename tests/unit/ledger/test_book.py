"""The model of the ledger keeps the rules that the database keeps."""

import pytest

from recompense.domain.failures import InsufficientAvailableBalance, InvariantBroken
from recompense.ledger import templates
from recompense.ledger.accounts import merchant_available
from recompense.ledger.book import Book, Totals


def test_refused_posting_leaves_the_book_as_it_was() -> None:
    book = Book()
    with pytest.raises(InsufficientAvailableBalance):
        book.post(
            templates.payout_asked(
                "po_1:reserve:1", merchant_id="m", bank="b", amount=1, currency="EUR"
            )
        )
    assert book.accounts == {}
    assert book.open_holds() == []


def test_agreed_overdraft_is_the_floor() -> None:
    book = Book(floors={(merchant_available("m"), "EUR"): -10})
    book.post(
        templates.payout_asked(
            "po_1:reserve:1", merchant_id="m", bank="b", amount=10, currency="EUR"
        )
    )
    assert book.totals(merchant_available("m"), "EUR") == Totals(debits_pending=10)
    with pytest.raises(InsufficientAvailableBalance):
        book.post(
            templates.payout_asked(
                "po_2:reserve:1", merchant_id="m", bank="b", amount=1, currency="EUR"
            )
        )


def test_same_key_with_another_content_is_broken() -> None:
    book = Book()
    book.post(
        templates.settled(
            "stl_1:book:1", provider="p", bank="b", amount=5, provider_fee=1, currency="EUR"
        )
    )
    with pytest.raises(InvariantBroken):
        book.post(
            templates.settled(
                "stl_1:book:1", provider="p", bank="b", amount=6, provider_fee=1, currency="EUR"
            )
        )


def test_hold_used_twice_is_broken() -> None:
    book = Book(floors={(merchant_available("m"), "EUR"): -10})
    book.post(
        templates.payout_asked(
            "po_1:reserve:1", merchant_id="m", bank="b", amount=10, currency="EUR"
        )
    )
    holds = book.open_holds(operation_id="po_1")
    book.post(templates.payout_paid("po_1:pay:1", holds=holds))
    with pytest.raises(InvariantBroken, match="has 0, not 10"):
        book.post(templates.payout_failed("po_1:release:1", holds=holds))
