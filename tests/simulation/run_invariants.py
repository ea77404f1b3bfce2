"""What has to hold of payout runs after every case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from recompense.contracts.provider import PayoutState, ProviderOperation
from recompense.domain.states import PAYOUT_RUN_TRANSITIONS, PayoutItemState, PayoutRunStatus
from recompense.persistence.run_tables import PayoutRunItemRow, PayoutRunRow
from recompense.persistence.tables import Payout
from tests.simulation import memory_runs
from tests.simulation.memory_rows import Change
from tests.simulation.memory_work import MemoryWork
from tests.simulation.run_people import done
from tests.simulation.world import World

ENDED = {PayoutRunStatus.COMPLETED, PayoutRunStatus.COMPLETED_WITH_FAILURES}
WAITING = {PayoutItemState.READY, PayoutItemState.STARTED}
_ITEM_TRANSITIONS = {
    # Started and settled or refused may be one transaction.
    PayoutItemState.READY: {*PayoutItemState} - {PayoutItemState.READY},
    PayoutItemState.STARTED: {PayoutItemState.SETTLED, PayoutItemState.FAILED},
    PayoutItemState.SETTLED: {PayoutItemState.READY},
    PayoutItemState.FAILED: {PayoutItemState.READY, PayoutItemState.REJECTED},
    PayoutItemState.REJECTED: set[PayoutItemState](),
}


def items_are_paid_once(world: World) -> Iterator[str]:
    """What a run owes to a merchant stands once in the provider's log, to the cent, when the item's
    own payout says that it was paid; else it does not, whatever other payouts are called.
    """
    payouts = {payout.id: payout for payout in world.store.rows(Payout)}
    for item in world.store.rows(PayoutRunItemRow):
        paid = [
            effect.amount
            for payout in payouts.values()
            if (payout.run_id, payout.merchant_id) == (item.run_id, item.merchant_id)
            for effect in world.provider.effects
            if effect.operation is ProviderOperation.CREATE_PAYOUT
            and effect.operation_id == payout.id
            and effect.status == "made"
            and effect.payout_state is not PayoutState.RETURNED
        ]
        if paid != ([item.amount] if _is_paid(payouts.get(item.payout_id)) else []):
            yield f"{item.id} is {item.state} and of {item.amount}, and {paid} were paid"


def runs_are_sums(world: World) -> Iterator[str]:
    """A run's count and total are those of its items, and never change once it is built."""
    for row in world.store.rows(PayoutRunRow):
        items = [item for item in world.store.rows(PayoutRunItemRow) if item.run_id == row.id]
        total: Counter[str] = Counter()
        for item in items:
            total[item.currency] += item.amount
        if (row.items_count, row.amount_total) != (len(items), dict(total)):
            yield f"{row.id} says {row.items_count} and {row.amount_total}, its items {total}"


def runs_end(world: World) -> Iterator[str]:
    """In the end a run has ended or was rejected, nothing of it waits, and what it counts as paid
    and as failed is what its items came to.
    """
    for row in world.store.rows(PayoutRunRow):
        items = [item for item in world.store.rows(PayoutRunItemRow) if item.run_id == row.id]
        waiting = [item.id for item in items if item.state in WAITING]
        if row.is_open or waiting:
            yield f"{row.id} ended {row.status}, and {waiting} wait"
        payouts = {payout.id: payout for payout in world.store.rows(Payout)}
        paid = sum(_is_paid(payouts.get(item.payout_id)) for item in items)
        shown = done(memory_runs.view(MemoryWork(world.store), row))
        if row.status in ENDED and (shown.paid_count, shown.failed_count) != (
            paid,
            len(items) - paid,
        ):
            yield f"{row.id} shows {shown}, and {paid} were paid"
        if row.status == PayoutRunStatus.REJECTED and payouts:
            yield f"{row.id} was rejected, and has {list(payouts)}"


def _is_paid(payout: Payout | None) -> bool:
    return payout is not None and payout.status == "paid"


def runs_end_last(world: World) -> Iterator[str]:
    """Runs and items move as their tables list, and a run ends when none of its items waits."""
    items: dict[str, PayoutItemState] = {}
    # Of one commit, items come before runs.
    for change in sorted(world.store.changes, key=lambda one: (one.commit, one.table)):
        if change.table == "payout_run_items":
            before, after = _states(change, PayoutItemState)
            items[str(change.key[0])] = after
            if before is not None and after not in _ITEM_TRANSITIONS[before]:
                yield f"{change.key} went from {before} to {after}"
        elif change.table == "payout_runs":
            run_before, run_after = _states(change, PayoutRunStatus)
            if run_before is not None and run_after not in PAYOUT_RUN_TRANSITIONS[run_before]:
                yield f"{change.key} went from {run_before} to {run_after}"
            if run_after in ENDED and WAITING & set(items.values()):
                yield f"{change.key} is {run_after} with {items}"


_State = TypeVar("_State", PayoutItemState, PayoutRunStatus)


def _states(change: Change, states: type[_State]) -> tuple[_State | None, _State]:
    before = states(str(change.before[0])) if change.before else None
    return before, states(str(change.after[0]))
