"""A repair books what a line says less what is booked, and what is left over is the difference."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recompense.ledger import templates
from recompense.ledger.accounts import (
    bank_cash,
    provider_clearing,
    provider_fees,
    suspense,
)
from recompense.ledger.book import Book
from recompense.ledger.repairs import Line, Settled, moves

AMOUNTS = st.integers(min_value=0, max_value=10**6)
SIGNED = st.integers(min_value=-(10**6), max_value=10**6)
KINDS = st.sampled_from(["authorization", "capture", "refund", "payout", "payout_return"])


def balance(book: Book, account: str) -> int:
    totals = book.totals(account, "EUR")
    return totals.debits_posted - totals.credits_posted


def repaired(book: Book, bank: int, fee: int, difference: int) -> None:
    posting = templates.break_repaired(
        "brk_1:resolved:1",
        provider="p",
        bank="main",
        amount=bank,
        provider_fee=fee,
        difference=difference,
        difference_account=suspense("p"),
        currency="EUR",
    )
    if posting is not None:
        book.post(posting)


@given(kind=KINDS, ours=AMOUNTS, net=SIGNED, fee=SIGNED)
def test_repair_takes_the_effect_out_of_clearing_and_books_the_line(
    kind: str, ours: int, net: int, fee: int
) -> None:
    moved = moves(kind, ours=ours, line=Line(net, fee), settled=None)
    book = Book()
    repaired(book, moved.bank, moved.fee, moved.difference)
    in_clearing = {"capture": ours, "refund": -ours}.get(kind, 0)
    paid_out = {"payout": -ours, "payout_return": ours}.get(kind, 0)
    assert balance(book, provider_clearing("p")) == -in_clearing
    assert balance(book, bank_cash("main")) + paid_out == net
    assert balance(book, provider_fees("p")) == fee


@given(kind=KINDS, ours=AMOUNTS, fee=AMOUNTS)
def test_line_that_agrees_leaves_no_difference(kind: str, ours: int, fee: int) -> None:
    sign = {"capture": 1, "refund": -1, "payout": -1, "payout_return": 1}.get(kind, 0)
    moved = moves(kind, ours=ours, line=Line(sign * ours - fee, fee), settled=None)
    assert moved.difference == 0


@given(amount=AMOUNTS, fee=AMOUNTS, net=SIGNED, other_fee=SIGNED)
def test_what_a_settlement_has_booked_is_not_booked_again(
    amount: int, fee: int, net: int, other_fee: int
) -> None:
    settled = Settled(clearing=amount, fee=fee)
    same = moves("capture", ours=amount, line=Line(amount - fee, fee), settled=settled)
    assert (same.bank, same.fee, same.clearing) == (0, 0, 0)
    after = moves("capture", ours=amount, line=Line(net, other_fee), settled=settled)
    assert (after.bank + amount - fee, after.fee + fee) == (net, other_fee)
    assert after.clearing == 0


def test_settlement_of_more_refunds_than_captures_is_paid_from_the_bank() -> None:
    book = Book()
    book.post(
        templates.settled(
            "rec_1:settled.eur:1",
            provider="p",
            bank="main",
            amount=-70,
            provider_fee=-3,
            currency="EUR",
        )
    )
    assert balance(book, bank_cash("main")) == -70
    assert balance(book, provider_fees("p")) == -3
    assert balance(book, provider_clearing("p")) == 73
