"""Every template balances, its reversal restores, and no legal life takes a floored account below
its floor.
"""

import copy
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from recompense.domain.failures import InsufficientAvailableBalance
from recompense.ledger import templates
from recompense.ledger.accounts import (
    Side,
    account,
    bank_cash,
    merchant_available,
    merchant_pending,
    merchant_reserve,
    provider_clearing,
    provider_fees,
)
from recompense.ledger.book import Book, Totals
from recompense.ledger.postings import Posting
from tests.support.money_life import BANK, CURRENCIES, MERCHANTS, PROVIDER, MoneyLife, PaymentLife

Balances = dict[tuple[str, str], tuple[int, int, int]]


def balances(book: Book) -> Balances:
    """What is not zero: the posted balance and the open holds of each account."""
    found = {
        name: (totals.balance(Side.CREDIT), totals.debits_pending, totals.credits_pending)
        for name, totals in book.accounts.items()
    }
    return {name: balance for name, balance in found.items() if any(balance)}


amounts = st.integers(min_value=1, max_value=1_000)
merchants = st.sampled_from(MERCHANTS)
currencies = st.sampled_from(CURRENCIES)


class LegalLives(RuleBasedStateMachine):
    """Captures, refunds, fees, reserves, payouts, returns and settlements in any legal order."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.life = MoneyLife(self.book)

    def book_it(self, posting: Posting) -> None:
        before = balances(self.book)
        self.book.post(posting)
        undone = copy.deepcopy(self.book)
        undone.post(posting.reversed(f"{posting.operation_id}:undo:1"))
        assert balances(undone) == before, f"the reversal of {posting.key} does not restore"

    def pick(self, data: st.DataObject, payments: list[PaymentLife]) -> PaymentLife:
        return data.draw(st.sampled_from(payments))

    @property
    def capturable(self) -> list[PaymentLife]:
        return [payment for payment in self.life.payments if payment.capturable]

    @property
    def refundable(self) -> list[PaymentLife]:
        return [payment for payment in self.life.payments if payment.refundable]

    @rule(merchant_id=merchants, currency=currencies, amount=amounts)
    def authorize(self, merchant_id: str, currency: str, amount: int) -> None:
        self.book_it(self.life.authorize(merchant_id, currency, amount))

    @precondition(lambda self: self.capturable)
    @rule(data=st.data(), at_once=st.booleans())
    def capture(self, data: st.DataObject, at_once: bool) -> None:
        payment = self.pick(data, self.capturable)
        amount = data.draw(st.integers(1, payment.capturable))
        fee = data.draw(st.integers(0, amount))
        kept = data.draw(st.integers(0, amount - fee))
        self.book_it(self.life.capture(payment, amount, fee, at_once=at_once, kept=kept))

    @precondition(lambda self: self.capturable)
    @rule(data=st.data(), expired=st.booleans())
    def give_back(self, data: st.DataObject, expired: bool) -> None:
        self.book_it(self.life.give_back(self.pick(data, self.capturable), expired=expired))

    @precondition(lambda self: any(payment.pending for payment in self.life.payments))
    @rule(data=st.data())
    def make_available(self, data: st.DataObject) -> None:
        payment = self.pick(data, [one for one in self.life.payments if one.pending])
        kept = data.draw(st.integers(0, payment.pending))
        self.book_it(self.life.make_available(payment, kept))

    @precondition(lambda self: any(payment.kept for payment in self.life.payments))
    @rule(data=st.data())
    def release_reserve(self, data: st.DataObject) -> None:
        payment = self.pick(data, [one for one in self.life.payments if one.kept])
        self.book_it(self.life.release_reserve(payment))

    @precondition(lambda self: self.refundable)
    @rule(data=st.data())
    def ask_refund(self, data: st.DataObject) -> None:
        payment = self.pick(data, self.refundable)
        amount = data.draw(st.integers(1, payment.refundable))
        refund_id, posting = self.life.ask_refund(payment, amount)
        if self.booked(posting):
            self.life.refund_asked(payment, refund_id, amount)

    @precondition(lambda self: any(payment.refunds for payment in self.life.payments))
    @rule(data=st.data(), done=st.booleans())
    def end_refund(self, data: st.DataObject, done: bool) -> None:
        payment = self.pick(data, [one for one in self.life.payments if one.refunds])
        refund_id = data.draw(st.sampled_from(sorted(payment.refunds)))
        back = data.draw(st.integers(0, payment.fees - payment.fees_returned)) if done else 0
        self.book_it(self.life.end_refund(payment, refund_id, done=done, fee_returned=back))

    @rule(merchant_id=merchants, currency=currencies, amount=amounts)
    def ask_payout(self, merchant_id: str, currency: str, amount: int) -> None:
        payout_id, posting = self.life.ask_payout(merchant_id, currency, amount)
        if self.booked(posting):
            self.life.open_payouts.append(payout_id)

    @precondition(lambda self: self.life.open_payouts)
    @rule(data=st.data(), paid=st.booleans())
    def end_payout(self, data: st.DataObject, paid: bool) -> None:
        payout_id = data.draw(st.sampled_from(self.life.open_payouts))
        self.book_it(self.life.end_payout(payout_id, paid=paid))

    @precondition(lambda self: self.life.paid_payouts)
    @rule(data=st.data())
    def return_payout(self, data: st.DataObject) -> None:
        payout = data.draw(st.sampled_from(self.life.paid_payouts))
        fee = data.draw(st.integers(0, payout.amount))
        self.book_it(self.life.return_payout(payout, fee))

    @rule(currency=currencies, amount=amounts, provider_fee=st.integers(0, 50))
    def settle(self, currency: str, amount: int, provider_fee: int) -> None:
        self.book_it(self.life.settle(currency, amount, provider_fee))

    def booked(self, posting: Posting) -> bool:
        """Whether the money was there; when it was not, nothing has changed."""
        before = self.book.accounts
        try:
            self.book_it(posting)
        except InsufficientAvailableBalance:
            assert self.book.accounts == before
            return False
        return True

    @invariant()
    def debits_equal_credits(self) -> None:
        difference: Counter[str] = Counter()
        for (_, currency), totals in self.book.accounts.items():
            difference[f"{currency} posted"] += totals.debits_posted - totals.credits_posted
            difference[f"{currency} pending"] += totals.debits_pending - totals.credits_pending
        assert not any(difference.values())

    @invariant()
    def nothing_is_below_zero(self) -> None:
        for (name, _), totals in self.book.accounts.items():
            assert totals.debits_pending >= 0
            assert totals.credits_pending >= 0
            if name.startswith("merchant:"):
                assert totals.spendable >= 0

    @invariant()
    def merchants_hold_what_is_theirs(self) -> None:
        for merchant_id in MERCHANTS:
            for currency in CURRENCIES:
                held = {
                    name: self.book.totals(name, currency).balance(Side.CREDIT)
                    for name in (
                        merchant_pending(merchant_id),
                        merchant_available(merchant_id),
                        merchant_reserve(merchant_id),
                    )
                }
                assert sum(held.values()) == self.life.own(merchant_id, currency)
                kept = self.life.kept(merchant_id, currency)
                assert held[merchant_reserve(merchant_id)] == kept

    @invariant()
    def payments_agree_with_the_books(self) -> None:
        held = sum(hold.remaining for hold in self.book.open_holds() if "clearing" in hold.debit)
        assert held == sum(payment.capturable for payment in self.life.payments)
        for merchant_id in MERCHANTS:
            for currency in CURRENCIES:
                totals = self.book.totals(merchant_pending(merchant_id), currency)
                own = (merchant_id, currency)
                assert totals.spendable == sum(
                    payment.pending
                    for payment in self.life.payments
                    if (payment.merchant_id, payment.currency) == own
                )


LegalLives.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLegalLives = LegalLives.TestCase


def test_refund_takes_the_payments_pending_money_first() -> None:
    posting = templates.refund_asked(
        "ref_1:reserve:1",
        payment_id="pay_1",
        provider=PROVIDER,
        merchant_id="mer_1",
        amount=100,
        payment_pending=30,
        currency="EUR",
    )
    taken = [(transfer.debit, transfer.amount) for transfer in posting.transfers]
    assert taken == [(merchant_pending("mer_1"), 30), (merchant_available("mer_1"), 70)]


@pytest.mark.parametrize("payment_pending", [100, 250])
def test_refund_that_pending_covers_leaves_available_alone(payment_pending: int) -> None:
    posting = templates.refund_asked(
        "ref_1:reserve:1",
        payment_id="pay_1",
        provider=PROVIDER,
        merchant_id="mer_1",
        amount=100,
        payment_pending=payment_pending,
        currency="EUR",
    )
    assert [transfer.debit for transfer in posting.transfers] == [merchant_pending("mer_1")]


def test_capture_with_more_fees_than_money_is_refused() -> None:
    with pytest.raises(ValueError, match="exceed 100 captured"):
        templates.captured(
            "cap_1:capture:1",
            payment_id="pay_1",
            holds=[],
            merchant_id="mer_1",
            amount=100,
            fee=60,
            currency="EUR",
            made_available=41,
        )


def test_settlement_moves_what_the_provider_owes_to_the_bank() -> None:
    book = Book()
    book.post(
        templates.settled(
            "stl_1:book:1", provider=PROVIDER, bank=BANK, amount=97, provider_fee=3, currency="EUR"
        )
    )
    assert book.totals(provider_clearing(PROVIDER), "EUR") == Totals(credits_posted=100)
    assert book.totals(bank_cash(BANK), "EUR") == Totals(debits_posted=97)
    assert book.totals(provider_fees(PROVIDER), "EUR") == Totals(debits_posted=3)


def _book_with_available(amount: int) -> Book:
    book = Book()
    life = MoneyLife(book)
    book.post(life.authorize("mer_1", "EUR", amount))
    book.post(life.capture(life.payments[0], amount, 0, at_once=True))
    return book


def test_payout_that_returns_gives_the_money_back_less_the_fee() -> None:
    book = _book_with_available(100)
    life = MoneyLife(book)
    payout_id, posting = life.ask_payout("mer_1", "EUR", 100)
    book.post(posting)
    life.open_payouts.append(payout_id)
    book.post(life.end_payout(payout_id, paid=True))
    returned = templates.payout_returned(
        f"{payout_id}:return:1",
        merchant_id="mer_1",
        bank=BANK,
        amount=100,
        currency="EUR",
        return_fee=4,
    )
    book.post(returned)
    assert book.totals(merchant_available("mer_1"), "EUR").spendable == 96
    assert book.totals(bank_cash(BANK), "EUR").balance(account(bank_cash(BANK)).normal_side) == 0


@pytest.mark.parametrize(("won", "available"), [(True, 100), (False, 60)])
def test_dispute_ends_with_the_merchant_or_with_the_provider(won: bool, available: int) -> None:
    book = _book_with_available(100)
    book.post(
        templates.dispute_opened(
            "dsp_1:open:1", payment_id="pay_1", merchant_id="mer_1", amount=40, currency="EUR"
        )
    )
    assert book.totals(merchant_available("mer_1"), "EUR").spendable == 60
    if won:
        end = templates.dispute_won(
            "dsp_1:end:1", payment_id="pay_1", merchant_id="mer_1", amount=40, currency="EUR"
        )
    else:
        end = templates.dispute_lost(
            "dsp_1:end:1",
            payment_id="pay_1",
            provider=PROVIDER,
            merchant_id="mer_1",
            amount=40,
            currency="EUR",
        )
    book.post(end)
    assert book.totals(merchant_available("mer_1"), "EUR").spendable == available
    assert book.totals(merchant_reserve("mer_1"), "EUR").spendable == 0


def test_capture_taken_back_is_held_again_and_its_fee_returned() -> None:
    book = Book()
    life = MoneyLife(book)
    book.post(life.authorize("mer_1", "EUR", 100))
    before = balances(book)
    capture = life.capture(life.payments[0], 70, 7, at_once=True)
    book.post(capture)
    book.post(templates.capture_taken_back("cap_2:capture.undo:1", capture=capture))
    assert balances(book) == before
    assert sum(hold.remaining for hold in book.open_holds(payment_id="pay_1")) == 100
