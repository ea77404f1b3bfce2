"""Defects of payout runs: what is paid twice, what is paid short, and what ends too early."""

from __future__ import annotations

import pytest

from activities import payout_runs as steps
from recompense.contracts.payout_runs import StartItem
from recompense.persistence.run_tables import PayoutRunItemRow, PayoutRunRow
from tests.simulation import memory_runs
from tests.simulation.memory_work import MemoryWork


def m_an_item_is_handed_out_under_a_new_id(patch: pytest.MonkeyPatch) -> None:
    """The payout's id is chosen when the item is handed out, not when the list is frozen."""
    original = steps._start

    def start(row: PayoutRunRow, item: PayoutRunItemRow) -> StartItem:
        item.payout_id += "x"
        return original(row, item)

    patch.setattr(steps, "_start", start)


def m_an_item_is_paid_short(patch: pytest.MonkeyPatch) -> None:
    """The saga is asked for another amount than the run was approved with."""
    original = steps._start

    def start(row: PayoutRunRow, item: PayoutRunItemRow) -> StartItem:
        started = original(row, item)
        payout = started.payout.model_copy(update={"amount": item.amount - 1})
        return started.model_copy(update={"payout": payout})

    patch.setattr(steps, "_start", start)


def m_the_total_leaves_out_what_has_failed(patch: pytest.MonkeyPatch) -> None:
    """Who approves the run is told a sum without the items that have nowhere to go."""
    original = memory_runs._items

    async def total(work: MemoryWork, row: PayoutRunRow) -> None:
        items = [item for item in original(work, row) if item.token is not None]
        row.items_count = len(items)
        row.amount_total = {"EUR": sum(item.amount for item in items)}

    patch.setattr(memory_runs, "total", total)


def m_a_run_ends_before_its_items(patch: pytest.MonkeyPatch) -> None:
    """What is under way is not waited for."""
    original = memory_runs.open_items

    async def open_items(work: MemoryWork, row: PayoutRunRow) -> tuple[int, int]:
        ready, _started = await original(work, row)
        return ready, 0

    patch.setattr(memory_runs, "open_items", open_items)


def m_a_resume_pays_what_was_paid(patch: pytest.MonkeyPatch) -> None:
    """A resume takes every item whose saga has ended, however it ended."""

    def may_be_resumed(work: MemoryWork, item: PayoutRunItemRow) -> bool:
        operation = memory_runs._operation_of(work, item)
        return operation is not None and operation.attempt_state == "recorded"

    patch.setattr(memory_runs, "_may_be_resumed", may_be_resumed)
