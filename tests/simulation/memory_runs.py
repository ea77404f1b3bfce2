"""What payout runs read and write, in dictionaries: `persistence.payout_runs` function by function.

The steps of a run speak SQL, not the store's port. So their code is real here, and the statements
behind it are modelled: `tests/database/test_memory_runs.py` holds the two against each other.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

from activities import payout_runs
from recompense.contracts.payout_runs import PayoutRunInput
from recompense.contracts.views import PayoutRunView
from recompense.domain.failures import InvariantBroken, Refused
from recompense.domain.states import PayoutItemState, PayoutRunStatus
from recompense.ledger.accounts import merchant_available
from recompense.persistence import outbox, payout_run_reads
from recompense.persistence.payout_runs import _NOT_MADE, _NOWHERE, DuePayout, move
from recompense.persistence.run_tables import PayoutRunDay, PayoutRunItemRow, PayoutRunRow
from recompense.persistence.saga_tables import AuditRecord, Operation
from recompense.persistence.tables import Merchant, Payout
from tests.simulation.memory_work import MemoryWork

__all__ = ["move", "runs_in_memory"]

_STEPS: Any = payout_runs
_WAITS = {PayoutItemState.READY, PayoutItemState.STARTED}


@contextmanager
def runs_in_memory() -> Iterator[None]:
    """Let the steps of payout runs, while a case is played, ask this module."""
    real = _STEPS.payout_runs, _STEPS.payout_run_reads
    _STEPS.payout_runs = _STEPS.payout_run_reads = sys.modules[__name__]
    try:
        yield
    finally:
        _STEPS.payout_runs, _STEPS.payout_run_reads = real


class MemoryDatabase:
    """`Database.transaction` over the dictionaries."""

    def __init__(self, work: Callable[[], AbstractAsyncContextManager[MemoryWork]]) -> None:
        self._work = work

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryWork]:
        """One transaction."""
        async with self._work() as work:
            yield work


async def opened(work: MemoryWork, run: PayoutRunInput) -> PayoutRunRow:
    """Make the run's row, or find it."""
    scope = "all" if run.currency is None else "one"
    day = work.found(PayoutRunDay, (run.name, run.business_date))
    if day is None:
        day = PayoutRunDay(name=run.name, business_date=run.business_date, scope=scope)
        work.add(day)
    found = work.all(
        PayoutRunRow,
        lambda row: (row.name, row.business_date) == (run.name, run.business_date),
        lambda row: row.currency == run.currency or None in {row.currency, run.currency},
    )
    if day.scope != scope:
        raise Refused(
            "payout_run_exists",
            "A run of this name and business date is there already.",
            payout_run_id=min((row.id for row in found), default=""),
        )
    if found:
        return found[0]
    row = PayoutRunRow(
        id=run.run_id or f"prn_{work.store.next_number()}",
        name=run.name,
        business_date=run.business_date,
        currency=run.currency,
        scope=scope,
        status=PayoutRunStatus.BUILDING,
        fired_at=run.fired_at,
        created_by=run.requested_by,
    )
    work.add(row)
    outbox.audit(work, actor=row.created_by, action="payout_run_made", target=row.id)
    work.write()
    return row


async def locked(work: MemoryWork, run_id: str) -> PayoutRunRow:
    """The run's row: nothing else runs meanwhile."""
    row = await work.get(PayoutRunRow, run_id)
    if row is None:
        raise InvariantBroken(f"there is no payout run {run_id}")
    return row


async def tell(work: MemoryWork, row: PayoutRunRow, word: str) -> None:
    """Emit an event with the run as it is now."""
    work.write()
    outbox.emit(work, f"payout_run.{word}", await view(work, row), merchant_id=None)


async def merchants_after(work: MemoryWork, row: PayoutRunRow, limit: int) -> list[Merchant]:
    """The next merchants that name this run."""
    found = work.all(
        Merchant,
        lambda merchant: merchant.payout.get("schedule") == row.name,
        lambda merchant: merchant.id > (row.frozen_to or ""),
    )
    return sorted(found, key=lambda merchant: merchant.id)[:limit]


async def available(work: MemoryWork, row: PayoutRunRow, merchants: Sequence[str]) -> list[Any]:
    """What may be promised to these merchants, less what other runs have promised."""
    due = []
    for account, currency in sorted(work.store.book.accounts):
        for merchant_id in merchants:
            if account == merchant_available(merchant_id) and row.currency in {None, currency}:
                promised = sum(
                    item.amount
                    for item in work.all(PayoutRunItemRow, lambda item: item.state in _WAITS)
                    if (item.merchant_id, item.currency) == (merchant_id, currency)
                    and _payout_of(work, item) is None
                )
                left = work.store.book.totals(account, currency).spendable - promised
                due.append(
                    SimpleNamespace(merchant_id=merchant_id, currency=currency, available=left)
                )
    return sorted(due, key=lambda one: (one.merchant_id, one.currency))


async def add_items(work: MemoryWork, row: PayoutRunRow, due: Sequence[DuePayout]) -> None:
    """Freeze a page of items."""
    for one in due:
        number = work.store.next_number()
        work.add(
            PayoutRunItemRow(
                id=f"pit_{number:06}",
                run_id=row.id,
                merchant_id=one.merchant_id,
                currency=one.currency,
                amount=one.amount,
                state=PayoutItemState.READY if one.token else PayoutItemState.FAILED,
                failure=None if one.token else _NOWHERE,
                payout_id=f"po_{number:06}",
                token=one.token,
            )
        )
    work.write()


async def total(work: MemoryWork, row: PayoutRunRow) -> None:
    """Write what all items come to."""
    items = _items(work, row)
    row.items_count = len(items)
    row.amount_total = {}
    for item in items:
        row.amount_total[item.currency] = row.amount_total.get(item.currency, 0) + item.amount


async def reject_items(work: MemoryWork, row: PayoutRunRow) -> None:
    """Nothing of this run is paid."""
    for item in _items(work, row):
        if item.state in {PayoutItemState.READY, PayoutItemState.FAILED}:
            item.state = PayoutItemState.REJECTED


async def mark(
    work: MemoryWork, row: PayoutRunRow, started: Sequence[str], lost: Sequence[str]
) -> None:
    """Write how the started items stand."""
    for item in _items(work, row):
        if item.state == PayoutItemState.READY and item.id in started:
            item.state = PayoutItemState.STARTED
        if item.state == PayoutItemState.STARTED:
            _mark_started(work, item, is_lost=item.id in lost)


def _mark_started(work: MemoryWork, item: PayoutRunItemRow, *, is_lost: bool) -> None:
    payout, operation = _payout_of(work, item), _operation_of(work, item)
    if payout is not None:
        waits = payout.status in {"pending", "awaiting_approval"} and not payout.needs_attention
        attempts = operation.attempt if operation is not None else 0
        is_news = item.attempts_before == 0 or item.attempts_before < attempts
        if is_lost or (is_news and not waits):
            item.state = PayoutItemState.SETTLED
    elif operation is not None and operation.attempt_state == "recorded" and operation.failure:
        told = operation.failure
        item.state = PayoutItemState.FAILED
        item.failure = {"code": told.get("code"), "message": told.get("message")}
    elif is_lost:
        item.state, item.failure = PayoutItemState.FAILED, _NOT_MADE


async def open_items(work: MemoryWork, row: PayoutRunRow) -> tuple[int, int]:
    """How many items wait to be started, and how many were and are not settled."""
    states = [item.state for item in _items(work, row)]
    return states.count(PayoutItemState.READY), states.count(PayoutItemState.STARTED)


async def next_items(work: MemoryWork, row: PayoutRunRow, limit: int) -> list[PayoutRunItemRow]:
    """The next items to start."""
    return [item for item in _items(work, row) if item.state == PayoutItemState.READY][:limit]


async def end(work: MemoryWork, row: PayoutRunRow) -> None:
    """Nothing is left to start or to wait for."""
    payouts = [_payout_of(work, item) for item in _items(work, row)]
    all_well = all(
        payout is not None
        and payout.status in {"in_transit", "paid"}
        and not payout.needs_attention
        for payout in payouts
    )
    ended = PayoutRunStatus.COMPLETED if all_well else PayoutRunStatus.COMPLETED_WITH_FAILURES
    move(row, ended)
    await tell(work, row, "completed")


async def resume(work: MemoryWork, row: PayoutRunRow, *, key: str, actor: str, reason: str) -> bool:
    """Make the failed items of a run that has ended ready again, once for each `key`."""
    resumed = work.all(
        AuditRecord,
        lambda told: (told.target, told.action) == (row.id, "payout_run_resume"),
        lambda told: told.details.get("key") == key,
    )
    if row.is_open or resumed:
        return True
    failed = [item for item in _items(work, row) if _may_be_resumed(work, item)]
    if row.status == PayoutRunStatus.REJECTED or not failed:
        return False
    for item in failed:
        operation = _operation_of(work, item)
        is_over = operation is not None and operation.attempt_state == "recorded"
        attempts = operation.attempt if operation is not None else 0
        item.state, item.failure = PayoutItemState.READY, None
        item.again, item.attempts_before = not is_over, 0 if is_over else attempts
        item.token = _token_of(work, item)
        if is_over:
            item.payout_id = f"po_{work.store.next_number():06}"
    move(row, PayoutRunStatus.RUNNING)
    outbox.audit(
        work,
        actor=actor,
        action="payout_run_resume",
        target=row.id,
        reason=reason,
        items=len(failed),
        key=key,
    )
    return True


def _may_be_resumed(work: MemoryWork, item: PayoutRunItemRow) -> bool:
    payout, operation = _payout_of(work, item), _operation_of(work, item)
    rests = operation is None or (
        operation.attempt_state == "recorded"
        or (operation.attempt_state == "closed" and operation.saga_state == "failed")
    )
    failed = (item.state == PayoutItemState.FAILED and payout is None) or (
        item.state in {PayoutItemState.FAILED, PayoutItemState.SETTLED}
        and payout is not None
        and payout.status == "failed"
        and not payout.needs_attention
    )
    return rests and failed and _token_of(work, item) is not None


async def view(work: MemoryWork, row: PayoutRunRow) -> PayoutRunView:
    """A run with its counts."""
    counts: dict[str, Any] = {}
    for item in _items(work, row):
        none = SimpleNamespace(currency=item.currency, paid=0, amount_paid=0, failed=0)
        count = counts.setdefault(item.currency, none)
        payout = _payout_of(work, item)
        if payout is not None and payout.status == "paid":
            count.paid += 1
            count.amount_paid += item.amount
        count.failed += _came_to_nothing(item, payout)
    return payout_run_reads._run(row, list(counts.values()))


def _came_to_nothing(item: PayoutRunItemRow, payout: Payout | None) -> bool:
    if payout is None:
        return item.state == PayoutItemState.FAILED
    ended = payout.status in {"failed", "returned", "canceled", "rejected"}
    return ended and item.state != PayoutItemState.READY


def _items(work: MemoryWork, row: PayoutRunRow) -> list[PayoutRunItemRow]:
    found = work.all(PayoutRunItemRow, lambda item: item.run_id == row.id)
    return sorted(found, key=lambda item: item.id)


def _payout_of(work: MemoryWork, item: PayoutRunItemRow) -> Payout | None:
    return work.found(Payout, (item.payout_id,))


def _operation_of(work: MemoryWork, item: PayoutRunItemRow) -> Operation | None:
    return work.found(Operation, (f"payout/{item.payout_id}",))


def _token_of(work: MemoryWork, item: PayoutRunItemRow) -> str | None:
    merchant = work.found(Merchant, (item.merchant_id,))
    token = ((merchant.payout if merchant else {}).get("destination") or {}).get("token")
    return None if token is None else str(token)
