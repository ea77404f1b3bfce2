"""The store in dictionaries: transactions, savepoints, unique keys and the CHECKs that guard money.

One transaction runs at a time and whole: what PostgreSQL's row locks order, is ordered here by
running nothing else. `tests/database/test_memory_store.py` holds it against `SqlWork`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from sqlmodel import SQLModel

from recompense.contracts.sagas import SagaRef
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, SagaState
from recompense.ledger.postings import Posting
from recompense.persistence.saga_tables import (
    Attempt,
    BreakerRow,
    JournalRow,
    Operation,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import Capture, Merchant, Payment, Payout, VoidRequest
from recompense.persistence.views import AUTHORIZED_STATUSES
from recompense.persistence.work import Key, Row
from tests.simulation.constraints import check, claim, columns, give_back, refused
from tests.simulation.simulated_book import Mark, SimulatedBook

Values = dict[str, Any]
WATCHED = {
    "payments": ("status",),
    "captures": ("status",),
    "refunds": ("status",),
    "payouts": ("status",),
    "voids": ("status",),
    "operations": ("attempt", "attempt_state", "saga_state"),
    "journal": ("outcome_kind", "final", "booked"),
    "orphans": ("status",),
}
"""The columns whose every committed change is kept, for the invariants about transitions."""


@dataclass(frozen=True)
class Change:
    """A committed change of a watched row: its values before (None: it was made) and after."""

    table: str
    key: tuple[Any, ...]
    before: tuple[Any, ...] | None
    after: tuple[Any, ...]


class MemoryStore:
    """All tables, the ledger, and who wants to know of commits."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.clock_now = now
        self.tables: dict[type[SQLModel], dict[tuple[Any, ...], SQLModel]] = {}
        self.taken: dict[tuple[Any, ...], SQLModel] = {}
        self.book = SimulatedBook()
        self.changes: list[Change] = []
        self.commits = 0
        self.before_commit: Callable[[], None] = _nothing
        self.after_commit: Callable[[], None] = _nothing
        self.numbers = 0

    def work(self) -> _Transaction:
        """Open a transaction."""
        return _Transaction(self)

    def rows(self, table: type[Row]) -> list[Row]:
        """All committed rows, oldest first."""
        return [row for row in self.tables.get(table, {}).values() if isinstance(row, table)]

    def put(self, row: SQLModel) -> None:
        """Set the scene: a row that is there from the beginning."""
        work = MemoryWork(self)
        work.add(row)
        work.write()
        work.commit()

    def next_number(self) -> int:
        """An identity column's next value."""
        self.numbers += 1
        return self.numbers


class _Transaction:
    """`Database.work()`: commit at the end, roll back on an exception."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._work = MemoryWork(store)

    async def __aenter__(self) -> MemoryWork:
        return self._work

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._work.roll_back()
            return
        try:
            self._work.write()
            self._store.before_commit()
        except BaseException:
            self._work.roll_back()
            raise
        self._work.commit()
        self._store.after_commit()


@dataclass
class _Savepoint:
    """What a savepoint goes back to."""

    work: MemoryWork
    rows: dict[tuple[Any, ...], Values] = field(default_factory=dict)
    mark: Mark | None = None

    async def __aenter__(self) -> None:
        work = self.work
        work.write()
        self.rows = {where: _values(row) for where, (row, _) in work.touched.items()}
        self.mark = work.store.book.mark()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.work.write()
            return
        self.work.back_to(self.rows)
        if self.mark is not None:
            self.work.store.book.back_to(self.mark)


class MemoryWork:
    """One transaction over the dictionaries."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.touched: dict[tuple[Any, ...], tuple[SQLModel, Values | None]] = {}
        self._new: list[SQLModel] = []
        self._mark: Mark | None = None

    # Rows

    @property
    def clock(self) -> datetime:
        """The virtual clock."""
        return self.store.clock_now()

    async def now(self) -> datetime:
        """The virtual clock."""
        return self.store.clock_now()

    async def get(self, table: type[Row], key: Key, *, lock: bool = False) -> Row | None:
        """A row by its primary key."""
        self._write_new()
        return self._found(table, key if isinstance(key, tuple) else (key,))

    def _found(self, table: type[Row], key: tuple[Any, ...]) -> Row | None:
        row = self.store.tables.get(table, {}).get(key)
        return self._touch(row, key) if isinstance(row, table) else None

    def _touch(self, row: Row, key: tuple[Any, ...]) -> Row:
        where = (type(row), *key)
        if where not in self.touched:
            self.touched[where] = (row, _values(row))
        return row

    def _all(self, table: type[Row], *conditions: Callable[[Row], bool]) -> list[Row]:
        self._write_new()
        found = [
            (key, row)
            for key, row in self.store.tables.get(table, {}).items()
            if isinstance(row, table) and all(holds(row) for holds in conditions)
        ]
        return [self._touch(row, key) for key, row in found]

    def add(self, row: SQLModel) -> None:
        """Insert a row at the next flush."""
        self._new.append(row)

    async def flush(self) -> None:
        """Write what changed."""
        self.write()

    def savepoint(self) -> _Savepoint:
        """A part that may be taken back."""
        return _Savepoint(self)

    async def post(self, posting: Posting) -> None:
        """Write a posting once."""
        if self._mark is None:
            self._mark = self.store.book.mark()
        self.store.book.post(posting)

    # Operations and the journal

    async def insert_operation(self, values: Mapping[str, Any]) -> Operation | None:
        """Make an operation."""
        if await self.get(Operation, values["saga_id"]) is not None:
            return None
        operation = Operation(**values)
        self.add(operation)
        self.write()
        return operation

    async def end_attempt(
        self, saga_id: str, number: int, report: Mapping[str, Any] | None
    ) -> None:
        """Note when an attempt ended."""
        attempt = await self.get(Attempt, (saga_id, number))
        if attempt is not None:
            attempt.ended_at = self.clock
            attempt.report = None if report is None else dict(report)

    async def show_attention(self, saga: SagaRef) -> None:
        """Show on the resource whether a person is asked."""
        parked = self._all(Operation, lambda row: row.saga_state == SagaState.PARKED)
        if saga.payment_id is not None:
            payment = await self.get(Payment, saga.payment_id)
            if payment is not None:
                payment.needs_attention = any(
                    row.payment_id == saga.payment_id for row in parked
                )
            return
        payout = await self.get(Payout, saga.operation_id)
        if payout is not None:
            payout.needs_attention = any(row.operation_id == saga.operation_id for row in parked)

    async def take_right(
        self, row: JournalRow, *, run_id: str, right_try: int, send_by: datetime
    ) -> bool:
        """Take the send right by compare-and-set."""
        present = self._same_right(row)
        if present is None:
            return False
        present.right_run_id, present.right_try = run_id, right_try
        present.sendable_until = send_by
        present.first_sent_at = present.first_sent_at or self.clock
        return True

    async def conclude_absent(
        self, row: JournalRow, calls: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Write the final outcome `absent` by compare-and-set."""
        present = self._same_right(row)
        if present is None:
            return False
        present.outcome, present.outcome_kind = {"kind": "absent"}, "absent"
        present.outcome_source, present.final = "lookup", True
        present.recorded_at = self.clock
        present.calls = [*row.calls, *map(dict, calls)]
        return True

    def _same_right(self, row: JournalRow) -> JournalRow | None:
        """The row as it is now, when nobody took its right since `row` was read."""
        present = self._found(JournalRow, (row.saga_id, row.step, row.attempt, row.leg))
        if present is None or present.outcome_kind is not None:
            return None
        read = (row.right_run_id, row.right_try, row.sendable_until)
        now = (present.right_run_id, present.right_try, present.sendable_until)
        return present if read == now else None

    async def forward_effects(self, saga_id: str, attempt: int) -> list[JournalRow]:
        """The effects of an attempt that move money forward, the newest first."""
        found = self._all(
            JournalRow,
            lambda row: row.saga_id == saga_id and row.attempt == attempt,
            lambda row: not row.step.endswith((".undo", ".orphan")),
        )
        return _newest_first(found)

    async def newest_leg(self, saga_id: str, step: str, attempt: int) -> JournalRow | None:
        """The last leg of a step."""
        where = (saga_id, step, attempt)
        found = self._all(JournalRow, lambda row: (row.saga_id, row.step, row.attempt) == where)
        return max(found, key=lambda row: row.leg, default=None)

    async def effect_by_key(self, effect_key: str) -> JournalRow | None:
        """The effect with this key."""
        found = self._all(JournalRow, lambda row: row.effect_key == effect_key)
        return found[0] if found else None

    async def newest_effect(self, operation_id: str, provider: str) -> JournalRow | None:
        """The operation's newest forward effect."""
        where = (operation_id, provider)
        found = self._all(
            JournalRow,
            lambda row: (row.operation_id, row.provider) == where,
            lambda row: not row.step.endswith(".undo"),
        )
        return next(iter(_newest_first(found)), None)

    async def orphan_of(self, row: JournalRow) -> Orphan | None:
        """The orphan that this effect became."""
        where = (row.saga_id, row.step, row.attempt, row.leg)
        found = self._all(
            Orphan, lambda orphan: (*_step_of(orphan), orphan.leg) == where
        )
        return found[0] if found else None

    async def orphan_to_settle(self, saga_id: str, step: str, attempt: int) -> Orphan | None:
        """The first orphan of a step."""
        found = self._all(Orphan, lambda orphan: _step_of(orphan) == (saga_id, step, attempt))
        return min(found, key=lambda orphan: orphan.leg, default=None)

    # Resources

    async def now_if_merchant(self, merchant_id: str) -> datetime | None:
        """The clock, when the merchant is there."""
        return None if self._found(Merchant, (merchant_id,)) is None else self.clock

    async def payment_with_reference(self, merchant_id: str, reference: str) -> str | None:
        """The payment that holds a reference."""
        ended = {PaymentStatus.DECLINED, PaymentStatus.FAILED}
        found = self._all(
            Payment,
            lambda row: (row.merchant_id, row.reference) == (merchant_id, reference),
            lambda row: row.status not in ended,
        )
        return found[0].id if found else None

    async def payout_with_reference(
        self, merchant_id: str, reference: str, *, but: str
    ) -> str | None:
        """The other payout that holds a reference."""
        ended = {PayoutStatus.FAILED, PayoutStatus.CANCELED}
        found = self._all(
            Payout,
            lambda row: (row.merchant_id, row.reference) == (merchant_id, reference),
            lambda row: row.status not in ended and row.id != but,
        )
        return found[0].id if found else None

    async def open_captures(self, payment_id: str) -> list[Capture]:
        """The payment's open captures."""
        return self._all(
            Capture,
            lambda row: row.payment_id == payment_id and row.status == CaptureStatus.PENDING,
        )

    async def ended_voids(self, payment_id: str) -> int:
        """How many requests to void have ended."""
        return len(
            self._all(
                VoidRequest, lambda row: row.payment_id == payment_id and row.status != "pending"
            )
        )

    async def expired_authorizations(self, after: str | None, limit: int) -> list[Payment]:
        """Authorizations to end."""
        now = self.clock
        found = self._all(
            Payment,
            lambda row: row.status in AUTHORIZED_STATUSES and row.id > (after or ""),
            lambda row: row.amount_captured + row.amount_voided < row.amount_authorized,
            lambda row: row.amount_capture_reserved == 0 and not row.void_open,
            lambda row: (row.authorization_expires_at or now) < now,
        )
        return sorted(found, key=lambda row: row.id)[:limit]

    async def captures_due(self, limit: int) -> list[tuple[str, str]]:
        """Captures whose money is due."""
        now = self.clock
        found = self._all(
            Capture,
            lambda row: row.status == CaptureStatus.SUCCEEDED and not row.made_available,
            lambda row: row.available_at is not None and row.available_at <= now,
        )
        found.sort(key=lambda row: row.available_at or now)
        return [(row.id, row.payment_id) for row in found[:limit]]

    # The inbox and the breakers

    async def mark_event(self, provider: str, event_id: str, status: str, detail: str) -> None:
        """Say what became of a stored event."""
        row = await self.get(ProviderEventRow, (provider, event_id))
        if row is not None:
            row.status, row.detail, row.applied_at = status, detail, self.clock

    async def unapplied_events(
        self, older_than_seconds: float, limit: int
    ) -> list[ProviderEventRow]:
        """Stored events that nobody has applied."""
        before = self.clock - timedelta(seconds=older_than_seconds)
        found = self._all(
            ProviderEventRow,
            lambda row: row.status == "received" and row.received_at < before,
        )
        return sorted(found, key=lambda row: row.received_at)[:limit]

    async def breaker(self, provider: str, operation_class: str, phase: str) -> BreakerRow:
        """A breaker's row, made where there was none."""
        row = await self.get(BreakerRow, (provider, operation_class))
        if row is None:
            row = BreakerRow(provider=provider, operation_class=operation_class, phase=phase)
            self.add(row)
            self.write()
        return row

    # How a transaction ends

    def write(self) -> None:
        """Insert what is new, set what the database sets, and check what it checks."""
        self._write_new()
        for row, before in self.touched.values():
            if before is not None and _values(row) != before:
                if hasattr(row, "updated_at"):
                    row.updated_at = self.clock
                claim(self.store.taken, row, before)
                check(row)

    def _write_new(self) -> None:
        while self._new:
            self._insert(self._new.pop(0))

    def _insert(self, row: SQLModel) -> None:
        described = columns(type(row))
        for name in described.moments:
            if getattr(row, name) is None:
                setattr(row, name, self.clock)
        if described.identity is not None:
            setattr(row, described.identity, self.store.next_number())
        key = tuple(getattr(row, name) for name in described.key)
        where = (type(row), *key)
        if where in self.store.taken:
            raise refused(f"{row.__tablename__}_pkey")
        claim(self.store.taken, row, None)
        check(row)
        self.store.taken[where] = row
        self.store.tables.setdefault(type(row), {})[key] = row
        self.touched[where] = (row, None)

    def back_to(self, rows: Mapping[tuple[Any, ...], Values]) -> None:
        """Back to a savepoint: what it knew as it was there, the rest as before the transaction."""
        self._new.clear()
        for where, (row, before) in list(self.touched.items()):
            give_back(self.store.taken, row)
            if where in rows:
                _restore(row, rows[where])
                claim(self.store.taken, row, None)
            elif before is not None:
                _restore(row, before)
                claim(self.store.taken, row, None)
            else:
                self._remove(where)

    def roll_back(self) -> None:
        """Nothing of this transaction stays."""
        self.back_to({})
        if self._mark is not None:
            self.store.book.back_to(self._mark)

    def _remove(self, where: tuple[Any, ...]) -> None:
        self.store.tables[where[0]].pop(where[1:], None)
        self.store.taken.pop(where, None)
        del self.touched[where]

    def commit(self) -> None:
        """Keep what changed, and say so."""
        self.store.commits += 1
        for where, (row, before) in self.touched.items():
            name = row.__tablename__
            watched = WATCHED.get(str(name))
            if watched is None:
                continue
            was = None if before is None else tuple(before.get(column) for column in watched)
            now = tuple(getattr(row, column) for column in watched)
            if was != now:
                self.store.changes.append(Change(str(name), where[1:], was, now))


def _nothing() -> None:
    """Nobody wants to know."""


def _values(row: SQLModel) -> Values:
    return {name: value for name, value in row.__dict__.items() if name[0] != "_"}


def _restore(row: SQLModel, values: Values) -> None:
    state = row.__dict__["_sa_instance_state"]
    row.__dict__.clear()
    row.__dict__.update(values, _sa_instance_state=state)


def _newest_first(rows: list[JournalRow]) -> list[JournalRow]:
    return sorted(reversed(rows), key=lambda row: row.created_at, reverse=True)


def _step_of(orphan: Orphan) -> tuple[str, str, int]:
    return (orphan.saga_id, orphan.step, orphan.attempt)
