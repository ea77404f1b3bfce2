"""The database and the model of the ledger agree, posting by posting, over random legal lives."""

import random
from collections.abc import Iterable
from typing import TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recompense.domain.failures import InsufficientAvailableBalance
from recompense.ledger.book import Book, Totals
from recompense.ledger.postings import OpenHold, Posting
from recompense.persistence import ledger
from tests.database.ledger.steps import seal, verified
from tests.support.money_life import CURRENCIES, MERCHANTS, MoneyLife

STEPS = 120
Thing = TypeVar("Thing")

_TOTALS = text("""
SELECT account, currency,
       CAST(coalesce(sum(posted) FILTER (WHERE direction = 'debit'), 0) AS bigint) AS dp,
       CAST(coalesce(sum(posted) FILTER (WHERE direction = 'credit'), 0) AS bigint) AS cp,
       CAST(coalesce(sum(pending) FILTER (WHERE direction = 'debit'), 0) AS bigint) AS dh,
       CAST(coalesce(sum(pending) FILTER (WHERE direction = 'credit'), 0) AS bigint) AS ch
FROM ledger_entries GROUP BY account, currency
""")


class RandomLife:
    """Takes one legal step after the other, booked on both ledgers."""

    def __init__(self, seed: int, connection: AsyncConnection) -> None:
        self.choose = random.Random(seed)  # noqa: S311 - a test's choice
        self.connection = connection
        self.book = Book()
        self.life = MoneyLife(self.book)
        self.refused = 0

    async def step(self) -> None:
        action = self.choose.choice(
            [
                self.authorize,
                self.capture,
                self.give_back,
                self.move,
                self.refund,
                self.end_refund,
                self.payout,
                self.end_payout,
                self.release,
                self.return_payout,
                self.settle,
            ]
        )
        await action()

    async def both(self, posting: Posting) -> bool:
        """Post on both; they must agree also on the refusal."""
        refused = False
        try:
            self.book.post(posting)
        except InsufficientAvailableBalance:
            refused = True
        if refused:
            self.refused += 1
            with pytest.raises(InsufficientAvailableBalance):
                await ledger.post(self.connection, posting)
        else:
            assert (await ledger.post(self.connection, posting)).first
        return not refused

    async def authorize(self) -> None:
        merchant, currency = self.choose.choice(MERCHANTS), self.choose.choice(CURRENCIES)
        await self.both(self.life.authorize(merchant, currency, self.choose.randint(1, 999)))

    async def capture(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.capturable):
            amount = self.choose.randint(1, payment.capturable)
            fee = self.choose.randint(0, amount)
            at_once = self.choose.random() < 0.5
            kept = self.choose.randint(0, amount - fee)
            await self.both(self.life.capture(payment, amount, fee, at_once=at_once, kept=kept))

    async def give_back(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.capturable):
            await self.both(self.life.give_back(payment, expired=self.choose.random() < 0.5))

    async def move(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.pending):
            kept = self.choose.randint(0, payment.pending)
            await self.both(self.life.make_available(payment, kept))

    async def release(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.kept):
            await self.both(self.life.release_reserve(payment))

    async def refund(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.refundable):
            amount = self.choose.randint(1, payment.refundable)
            refund_id, posting = self.life.ask_refund(payment, amount)
            if await self.both(posting):
                self.life.refund_asked(payment, refund_id, amount)

    async def end_refund(self) -> None:
        for payment in self.some(one for one in self.life.payments if one.refunds):
            refund_id = self.choose.choice(sorted(payment.refunds))
            done = self.choose.random() < 0.7
            back = self.choose.randint(0, payment.fees - payment.fees_returned) if done else 0
            posting = self.life.end_refund(payment, refund_id, done=done, fee_returned=back)
            await self.both(posting)

    async def payout(self) -> None:
        merchant, currency = self.choose.choice(MERCHANTS), self.choose.choice(CURRENCIES)
        amount = self.choose.randint(1, 999)
        payout_id, posting = self.life.ask_payout(merchant, currency, amount)
        if await self.both(posting):
            self.life.open_payouts.append(payout_id)

    async def end_payout(self) -> None:
        for payout_id in self.some(self.life.open_payouts):
            paid = self.choose.random() < 0.7
            await self.both(self.life.end_payout(payout_id, paid=paid))

    async def return_payout(self) -> None:
        for payout in self.some(self.life.paid_payouts):
            fee = self.choose.randint(0, payout.amount)
            await self.both(self.life.return_payout(payout, fee))

    async def settle(self) -> None:
        amount, currency = self.choose.randint(1, 999), self.choose.choice(CURRENCIES)
        await self.both(self.life.settle(currency, amount, self.choose.randint(0, 30)))

    def some(self, things: Iterable[Thing]) -> list[Thing]:
        """One of the things, or none where there is none."""
        listed = list(things)
        return [self.choose.choice(listed)] if listed else []


@pytest.mark.parametrize("seed", range(4))
async def test_database_and_model_agree(engine: AsyncEngine, seed: int) -> None:
    async with engine.connect() as connection:
        life = RandomLife(seed, connection)
        for _ in range(STEPS):
            await life.step()
            await connection.commit()
        rows = (await connection.execute(_TOTALS)).all()
        found = {(r.account, r.currency): Totals(r.dp, r.cp, r.dh, r.ch) for r in rows}
        held = {hold.ref: hold for hold in await _open_holds(connection, life)}
    assert {
        name: totals for name, totals in found.items() if totals != Totals()
    } == life.book.accounts
    for merchant_id in MERCHANTS:
        for currency in CURRENCIES:
            own = sum(
                totals.credits_posted - totals.debits_posted
                for (name, moved), totals in found.items()
                if name.startswith(f"merchant:{merchant_id}:") and moved == currency
            )
            assert own == life.life.own(merchant_id, currency)
    assert held == {hold.ref: hold for hold in life.book.open_holds()}
    assert life.refused > 0
    await seal(engine, block_size=50, snapshot=True)
    assert (await verified(engine)).first_wrong is None


async def _open_holds(connection: AsyncConnection, life: RandomLife) -> list[OpenHold]:
    operations = [*life.life.open_payouts]
    for payment in life.life.payments:
        operations += [payment.id, *payment.refunds]
    return [
        hold
        for operation_id in operations
        for hold in await ledger.operation_holds(connection, operation_id)
    ]
