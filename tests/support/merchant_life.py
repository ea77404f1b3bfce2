"""Random legal lives of one merchant, through the real activities."""

from __future__ import annotations

import json
import random
from itertools import count
from typing import Any

from recompense.contracts.provider import PayoutState
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
from tests.support.stage import Stage
from tests.support.step_stories import MADE, MERCHANT, REFUSED, record

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
TIME_PASSES = """
UPDATE captures SET available_at = created_at WHERE available_at IS NOT NULL;
ALTER TABLE reserve_tranches DISABLE TRIGGER reserve_tranches_no_change;
UPDATE reserve_tranches SET release_at = created_at WHERE released_at IS NULL;
ALTER TABLE reserve_tranches ENABLE ALWAYS TRIGGER reserve_tranches_no_change;
"""


async def merchant_with(stage: Stage, terms: int) -> None:
    """Set the scene: the merchant."""
    rule, fees, reserve = TERMS[terms]
    await stage.set_up(
        "INSERT INTO merchants (id, name, country, payout, fees, reserve, availability_rule,"
        " availability_days, created_by) VALUES (%s, 'A', 'DE', '{}', %s, %s, %s, 2, 'test')",
        MERCHANT,
        json.dumps(fees),
        json.dumps(reserve),
        rule,
    )


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
        """Take one step."""
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
        outcome = MADE if self.choose.random() < 0.75 else REFUSED
        await self.stage.given(f"{name}.record", record(admitted.effect, outcome))
        self.done.add(name)
        return [admitted.effect] if outcome is MADE else []

    def some(self, things: list[Any]) -> list[Any]:
        """One of the things, or none where there is none."""
        return [self.choose.choice(things)] if things else []
