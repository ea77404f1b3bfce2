"""What the simulation models of payout runs answers the same as PostgreSQL, given the same script.

A script is drawn by a seed: runs are opened, reviewed, advanced and resumed in any order, while
payouts and their sagas come to whatever they come to.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, cast

import pytest

from recompense.contracts.payout_runs import RunRef
from recompense.domain.failures import RecompenseError
from recompense.ledger.book import Book
from recompense.persistence import payout_runs
from recompense.persistence.database import Database
from recompense.persistence.run_tables import PayoutRunItemRow
from recompense.persistence.saga_tables import Operation
from recompense.persistence.tables import Merchant, Payout
from tests.simulation import memory_runs
from tests.simulation.memory_runs import MemoryDatabase, runs_in_memory
from tests.simulation.memory_store import MemoryStore
from tests.support.payout_runs import merchant_with, seed
from tests.support.run_scene import CHECKER, DAY, MAKER, Scene, run_input

SCRIPTS = 10
STEPS = 80
ANOTHER_DAY = 0.2
MERCHANTS = 5
Place = tuple[str, date, str, str]
"""An item: of which run's name and date, and of which merchant and currency."""


class MemoryScene(Scene):
    """The same scene over the simulation's dictionaries."""

    def __init__(self) -> None:
        self.store = MemoryStore(_ticking())
        super().__init__(cast(Database, MemoryDatabase(self.store.work)))

    async def payout(self, payout_id: str, status: str, *, attention: bool = False) -> None:
        """What an item's saga would have written."""
        for present in self.store.rows(Payout):
            if present.id == payout_id:
                present.status = status
                return
        [item] = [i for i in self.store.rows(PayoutRunItemRow) if i.payout_id == payout_id]
        self.store.put(
            Payout(
                id=payout_id,
                merchant_id=item.merchant_id,
                amount=item.amount,
                currency=item.currency,
                status=status,
                destination_token="tok",
                provider="sandbox",
                requested_by="x",
                needs_attention=attention,
            )
        )

    async def operation(self, payout_id: str, attempt_state: str, saga_state: str) -> None:
        """The operation of an item's saga."""
        refused = attempt_state == "recorded" and saga_state == "done"
        failure = {"code": "insufficient_available_balance", "message": "no"}
        self.store.put(
            Operation(
                saga_id=f"payout/{payout_id}",
                kind="payout",
                operation_id=payout_id,
                merchant_id="mer",
                input={},
                requested_by="x",
                attempt=1,
                attempt_state=attempt_state,
                saga_state=saga_state,
                failure=failure if refused else None,
            )
        )


class Side:
    """One of the two under test: its scene, and where its items are."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.runs: dict[tuple[str, date], str] = {}
        self.in_memory = isinstance(scene, MemoryScene)
        self._modelled: Any = memory_runs if self.in_memory else payout_runs

    async def items(self) -> dict[Place, Any]:
        """All items by their places."""
        runs = {run_id: at for at, run_id in self.runs.items()}
        if isinstance(self.scene, MemoryScene):
            rows: list[Any] = self.scene.store.rows(PayoutRunItemRow)
        else:
            found = await self.scene.rows("SELECT * FROM payout_run_items")
            rows = [PayoutRunItemRow(**row) for row in found]
        return {(*runs[row.run_id], row.merchant_id, row.currency): row for row in rows}

    async def step(self, name: str, at: tuple[str, date], place: Place | None, value: int) -> Any:
        """One step of a script, and what it answers, without any id."""
        steps, run_id = self.scene.steps(), self.runs.get(at, "none")
        try:
            with runs_in_memory() if self.in_memory else nullcontext():
                match name:
                    case "open":
                        asked = run_input(
                            business_date=at[1], currency=(None, "EUR", None)[value % 3]
                        )
                        opened = await steps.open(asked)
                        if opened.run is None:
                            return opened.refusal and opened.refusal.code
                        self.runs[at] = opened.run.id
                        frozen = await steps.freeze(RunRef(run_id=opened.run.id))
                        return _shown(opened.run), frozen
                    case "review":
                        decision = "approve" if value else "reject"
                        actor = CHECKER if value != 1 else MAKER
                        word = await self.scene.review(
                            run_id, cast(Any, decision), actor=actor, key="word"
                        )
                        return word.refusal and word.refusal.code, word.run and _shown(word.run)
                    case "resume":
                        return await self._resume(run_id, f"key-{value}")
                    case _:
                        return await self._advance(run_id, place, value)
        except RecompenseError as error:
            return type(error).__name__

    async def _resume(self, run_id: str, key: str) -> Any:
        async with self.scene.database.transaction() as session:
            row = await self._modelled.locked(session, run_id)
            return await self._modelled.resume(session, row, key=key, actor=CHECKER, reason="again")

    async def _advance(self, run_id: str, place: Place | None, value: int) -> Any:
        ids = () if place is None else ((await self.items())[place].id,)
        step = await self.scene.advance(
            run_id, at_once=1 + value, started=ids, lost=ids if value == 0 else ()
        )
        handed = [(i.payout.merchant_id, i.payout.currency, i.payout.amount) for i in step.items]
        return step.status, handed, step.items_count, step.waiting, step.open

    async def stands(self) -> dict[Place, Any]:
        """What is written of the items."""
        return {
            place: (row.state, row.amount, row.again, row.attempts_before, row.token, row.failure)
            for place, row in (await self.items()).items()
        }


@pytest.mark.parametrize("number", range(SCRIPTS))
async def test_model_of_payout_runs_given_the_same_script_answers_the_same(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    numbers = count(1)
    # Items are handed out in the order of their ids: here as there in the order of the list.
    monkeypatch.setattr(payout_runs, "new_id", lambda prefix: f"{prefix}_{next(numbers):06}")
    chance = random.Random(number)  # noqa: S311 - a script is to be repeatable, not secret
    real, model = Side(scene), Side(MemoryScene())
    await _merchants(chance, scene, cast(MemoryScene, model.scene).store)
    told: set[tuple[bool, str]] = set()
    for side in (real, model):
        await side.step("open", ("daily", DAY), None, 0)
        await side.step("review", ("daily", DAY), None, 2)
    for _ in range(STEPS):
        at = ("daily", DAY + timedelta(days=int(chance.random() < ANOTHER_DAY)))
        places = sorted(place for place in await real.items() if place[:2] == at)
        place = chance.choice(places) if places else None
        name, value = chance.choice(_STEPS), chance.randint(0, 3)
        if name == "comes to" and place is not None:
            await _come_to(chance, (real, model), place, told)
            continue
        answers = [await side.step(name, at, place, value) for side in (real, model)]
        assert answers[0] == answers[1], (name, at, place, value)
        assert await real.stands() == await model.stands(), (name, at, place, value)


_STEPS = ("open", "review", "resume", *(3 * ("comes to",)), *(5 * ("advance",)))


async def _merchants(chance: random.Random, scene: Scene, store: MemoryStore) -> None:
    for _ in range(MERCHANTS):
        balances = {currency: chance.randint(1, 5_000) for currency in ("EUR", "USD")}
        terms: dict[str, Any] = {"minimum": chance.choice((0, 2_500))}
        token = chance.choice(("tok_ok", "tok_ok", None))
        merchant_id = await merchant_with(
            scene.database, balances, schedule="daily", token=token, **terms
        )
        [row] = await scene.rows("SELECT * FROM merchants WHERE id = :id", id=merchant_id)
        store.put(Merchant(**{name: row[name] for name in Merchant.model_fields if name in row}))
        book: Book = store.book
        for currency, amount in balances.items():
            book.post(seed(merchant_id, currency, amount))


async def _come_to(
    chance: random.Random, sides: tuple[Side, Side], place: Place, told: set[tuple[bool, str]]
) -> None:
    """A payout, or its saga, comes to something."""
    status = chance.choice(("pending", "in_transit", "paid", "failed", "returned"))
    attention = chance.random() < 0.2
    states = chance.choice((("open", "running"), ("recorded", "done"), ("closed", "failed")))
    is_payout = chance.random() < 0.6
    for side in sides:
        payout_id = (await side.items())[place].payout_id
        if is_payout:
            await side.scene.payout(payout_id, status, attention=attention)
        elif (side.in_memory, payout_id) not in told:
            told.add((side.in_memory, payout_id))
            await side.scene.operation(payout_id, *states)


def _shown(run: Any) -> Any:
    ids = {"id", "created_at", "updated_at"}
    return run.model_dump(mode="json", exclude=ids)


def _ticking() -> Callable[[], datetime]:
    ticks = count()
    return lambda: datetime(2026, 3, 2, tzinfo=UTC) + timedelta(milliseconds=next(ticks))
