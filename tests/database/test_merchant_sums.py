"""Random legal lives through the real activities: whatever order captures, refunds, sweeps,
payouts, returns and settlements come in, what a merchant's accounts hold is what the rows say is its own.
"""

from __future__ import annotations

import json
import random
from itertools import count
from typing import Any

import pytest

from recompense.contracts.provider import Outcome, PayoutState
from recompense.contracts.sagas import AuthorizeInput, CaptureInput, PayoutInput, RefundInput
from recompense.contracts.steps import (
    AnswerSource,
    ApplyEvent,
    EffectAnswer,
    EffectPlan,
    PageRequest,
)
from recompense.ledger import templates
from recompense.persistence import ledger
from tests.support.commit_proxy import commit_proxy
from tests.support.stage import Stage, assert_in_order, staged
from tests.support.step_stories import MADE, REFUSED, record

STEPS = 100
MERCHANT = "mer_1"
CURRENCIES = ("EUR", "JPY")
ON = {"merchant_id": MERCHANT, "requested_by": "test"}
TERMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("on_capture", {"basis_points": 290, "fixed": 30, "minimum": 50}, {}),
    (
        "on_capture",
        {"basis_points": 333, "on_refund": "returned", "payout_return": 25},
        {"basis_points": 1_500, "days": 30},
    ),
    (
        "after_days",
        {"fixed": {"EUR": 70}, "maximum": 90, "exceptions": [{"currency": "JPY", "fixed": 5}]},
        {"basis_points": 10_000, "days": 1},
    ),
    (
        "after_days",
        {"basis_points": 777, "on_refund": "returned", "payout_return": {"EUR": 2_000}},
        {"basis_points": 1, "days": 730},
    ),
]
OWN = """
SELECT currency, CAST(sum(amount) AS bigint) AS own FROM (
    SELECT currency, amount_captured - amount_fees + amount_fees_returned - amount_refunded
    FROM payments
    UNION ALL
    SELECT currency, CASE WHEN status = 'paid' THEN -amount ELSE -return_fee END
    FROM payouts WHERE status IN ('paid', 'returned')
) AS moved (currency, amount) GROUP BY currency HAVING sum(amount) <> 0 ORDER BY currency
"""
KEPT = """
SELECT currency, CAST(sum(amount) AS bigint) AS kept FROM reserve_tranches
WHERE released_at IS NULL GROUP BY currency ORDER BY currency
"""
TIME_PASSES = """
UPDATE captures SET available_at = created_at WHERE available_at IS NOT NULL;
ALTER TABLE reserve_tranches DISABLE TRIGGER reserve_tranches_no_change;
UPDATE reserve_tranches SET release_at = created_at WHERE released_at IS NULL;
ALTER TABLE reserve_tranches ENABLE ALWAYS TRIGGER reserve_tranches_no_change;
"""


class Life:
    """Takes one step after the other, chosen by a seed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.choose = random.Random(seed)  # noqa: S311 - a test's choice
        self.numbers = count(1)
        self.payments: list[AuthorizeInput] = []
        self.paid: list[EffectPlan] = []
        self.done: set[str] = set()

    async def step(self) -> None:
        await self.choose.choice(
            [self.pay, self.capture, self.capture, self.refund, self.refund, self.sweep,
             self.payout, self.payout, self.payout_returns, self.settle]
        )()  # fmt: skip

    async def pay(self) -> None:
        saga = AuthorizeInput(
            **ON,
            payment_id=f"pay_{next(self.numbers)}",
            amount=self.choose.randint(1, 20_000),
            currency=self.choose.choice(CURRENCIES),
            token="tok",
        )
        admitted = await self.stage.given("authorization.admit", saga)
        await self.stage.given("authorization.record", record(admitted.effect, MADE))
        self.payments.append(saga)

    async def capture(self) -> None:
        for payment in self.some(self.payments):
            amount = self.choose.choice([None, self.choose.randint(1, payment.amount)])
            on = ON | {"payment_id": payment.payment_id}
            saga = CaptureInput(**on, capture_id=f"cap_{next(self.numbers)}", amount=amount)
            await self.carry("capture", saga)

    async def refund(self) -> None:
        for payment in self.some(self.payments):
            amount = self.choose.choice([None, self.choose.randint(1, 2_000)])
            on = ON | {"payment_id": payment.payment_id}
            saga = RefundInput(**on, refund_id=f"ref_{next(self.numbers)}", amount=amount)
            await self.carry("refund", saga)

    async def payout(self) -> None:
        saga = PayoutInput(
            **ON,
            payout_id=f"po_{next(self.numbers)}",
            amount=self.choose.randint(1, 1_000),
            currency=self.choose.choice(CURRENCIES),
            token="tok",
        )
        self.paid += await self.carry("payout", saga)

    async def payout_returns(self) -> None:
        for effect in self.some(self.paid):
            self.paid.remove(effect)
            answer = EffectAnswer(
                outcome=MADE, source=AnswerSource.LOOKUP, payout_state=PayoutState.RETURNED
            )
            apply = ApplyEvent(provider="sandbox", event_id="evt", effect=effect, answer=answer)
            for _ in range(2):
                await self.stage.given("provider_event.apply", apply)
            self.done.add("return")

    async def sweep(self) -> None:
        if self.choose.random() < 0.8:
            await self.stage.set_up(TIME_PASSES)
        await self.stage.given("availability.release", PageRequest(page_size=3))

    async def settle(self) -> None:
        posting = templates.settled(
            f"stl_{next(self.numbers)}:settle:1",
            provider="sandbox",
            bank="main",
            amount=self.choose.randint(1, 5_000),
            provider_fee=self.choose.randint(0, 50),
            currency=self.choose.choice(CURRENCIES),
        )
        async with self.stage.database.transaction() as session:
            await ledger.post(session, posting)

    async def carry(self, name: str, saga: Any) -> list[EffectPlan]:
        """Admit and record one operation; the effect, where it was made."""
        admitted = await self.stage.given(f"{name}.admit", saga)
        if admitted.effect is None:
            self.done.add(f"{name} refused")
            return []
        outcome: Outcome = self.choose.choice([MADE, MADE, MADE, REFUSED])
        await self.stage.given(f"{name}.record", record(admitted.effect, outcome))
        self.done.add(name)
        return [admitted.effect] if outcome is MADE else []

    def some(self, things: list[Any]) -> list[Any]:
        """One of the things, or none where there is none."""
        return [self.choose.choice(things)] if things else []


@pytest.mark.parametrize("terms", range(len(TERMS)))
async def test_merchant_holds_what_is_its_own_after_any_life(database_url: str, terms: int) -> None:
    rule, fees, reserve = TERMS[terms]
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        await stage.set_up(
            "INSERT INTO merchants (id, name, country, payout, fees, reserve, availability_rule,"
            " availability_days, created_by) VALUES (%s, 'A', 'DE', '{}', %s, %s, %s, 2, 'test')",
            MERCHANT,
            json.dumps(fees),
            json.dumps(reserve),
            rule,
        )
        life = Life(stage, seed=terms)
        for number in range(1, STEPS + 1):
            await life.step()
            if number % 20 == 0:
                await assert_sums(stage)
        assert life.done >= {"capture", "refund", "payout", "return"}
        await assert_in_order(stage.database)


async def assert_sums(stage: Stage) -> None:
    """Assert that the ledger's accounts of the merchant hold what the rows say."""
    async with stage.database.engine.connect() as connection:
        own = {row[0]: row[1] for row in await connection.exec_driver_sql(OWN)}
        kept = {row[0]: row[1] for row in await connection.exec_driver_sql(KEPT)}
        held: dict[str, dict[str, int]] = {}
        for kind in ("pending", "available", "reserve"):
            for one in await ledger.balances(connection, f"merchant:{MERCHANT}:{kind}"):
                held.setdefault(one.currency, {})[kind] = one.balance
    assert {name: total for name, one in held.items() if (total := sum(one.values()))} == own
    assert {name: one["reserve"] for name, one in held.items() if one.get("reserve")} == kept
