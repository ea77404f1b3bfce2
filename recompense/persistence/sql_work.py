"""The store in PostgreSQL: how the named questions of `Work` are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recompense.contracts.sagas import SagaRef
from recompense.domain.failures import InvariantBroken
from recompense.persistence import work_sql
from recompense.persistence.row_sql import shape_of
from recompense.persistence.saga_tables import (
    Attempt,
    BreakerRow,
    JournalRow,
    Operation,
    OperationRun,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.sql_batches import SqlBatches
from recompense.persistence.sql_rows import SqlRows, parameter
from recompense.persistence.tables import Capture, Payment, Payout, ReserveTranche
from recompense.persistence.work import EffectKey


class SqlOperations(SqlRows):
    """Operations, their attempts and their journal."""

    async def insert_operation(self, values: Mapping[str, Any]) -> Operation | None:
        """Make an operation."""
        return await self._insert_unless_there(Operation, values)

    async def lock_step(self, effect: EffectKey, run_id: str, saga: SagaRef) -> None:
        """Lock and read all of it in one statement.

        Rows that are made while this waits for the operation's lock are not seen, and then `get`
        reads as it always does. Those that are seen are as they are now: the locked ones because
        they are read again under their lock, the run because it never changes.
        """
        has_payment = saga.payment_id is not None
        statement = work_sql.STEP_WITH_PAYMENT if has_payment else work_sql.STEP
        saga_id, *rest = map(parameter, effect)
        await self.flush()
        for row in await self._run(statement, [*rest, run_id, saga_id]):
            left = list(row)
            for table in work_sql.STEP_TABLES if has_payment else work_sql.STEP_TABLES[:-1]:
                size = len(shape_of(table).columns)
                values, left = left[:size], left[size:]
                if values[0] is not None:
                    self._taken(table, values, locked=table is not OperationRun)

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
        row: Payment | Payout | None
        if saga.payment_id is not None:
            row = await self.get(Payment, saga.payment_id, lock=True)
            question, of = work_sql.PARKED_OF_PAYMENT, saga.payment_id
        else:
            row = await self.get(Payout, saga.operation_id, lock=True)
            question, of = work_sql.PARKED_OF_OPERATION, saga.operation_id
        await self._settle(Operation)
        await self._settle(Orphan)
        if row is not None:
            [[row.needs_attention]] = await self._run(question, [of])

    async def take_right(
        self, row: JournalRow, *, run_id: str, right_try: int, send_by: datetime
    ) -> bool:
        """Take the send right by compare-and-set."""
        values = [run_id, str(right_try), send_by.isoformat()]
        return await self._compare_and_set(work_sql.TAKE_RIGHT, values, row)

    async def conclude_absent(
        self, row: JournalRow, calls: Sequence[Mapping[str, Any]], source: str
    ) -> bool:
        """Write the final outcome `absent` by compare-and-set."""
        values = [source, parameter([*row.calls, *calls])]
        return await self._compare_and_set(work_sql.CONCLUDE_ABSENT, values, row)

    async def _compare_and_set(
        self, statement: str, values: Sequence[str | bytes | None], row: JournalRow
    ) -> bool:
        read = (
            row.saga_id,
            row.step,
            row.attempt,
            row.leg,
            row.right_run_id,
            row.right_try,
            row.sendable_until,
        )
        await self._settle(JournalRow)
        changed = await self._run(statement, [*values, *map(parameter, read)])
        self._changed_behind(row)
        return len(changed) == 1

    async def forward_effects(self, saga_id: str, attempt: int) -> list[JournalRow]:
        """The effects of an attempt that move money forward."""
        return await self._select(JournalRow, work_sql.FORWARD_EFFECTS, saga_id, str(attempt))

    async def newest_leg(self, saga_id: str, step: str, attempt: int) -> JournalRow | None:
        """The last leg of a step."""
        found = await self._select(JournalRow, work_sql.NEWEST_LEG, saga_id, step, str(attempt))
        return next(iter(found), None)

    async def effect_by_key(self, effect_key: str) -> JournalRow | None:
        """The effect with this key."""
        return next(iter(await self._select(JournalRow, work_sql.EFFECT_BY_KEY, effect_key)), None)

    async def newest_effect(self, operation_id: str, provider: str) -> JournalRow | None:
        """The operation's newest forward effect."""
        found = await self._select(JournalRow, work_sql.NEWEST_EFFECT, operation_id, provider)
        return next(iter(found), None)

    async def effect_made_as(
        self, payment_id: str, provider: str, reference: str
    ) -> JournalRow | None:
        """The effect on a payment that a provider calls by this name."""
        where = (payment_id, provider, reference)
        return next(iter(await self._select(JournalRow, work_sql.EFFECT_MADE_AS, *where)), None)

    async def orphan_of(self, row: JournalRow) -> Orphan | None:
        """The orphan that this effect became."""
        where = (row.saga_id, row.step, str(row.attempt), str(row.leg))
        return next(iter(await self._select(Orphan, work_sql.ORPHAN_OF, *where)), None)

    async def parked_orphans(self, saga_id: str) -> list[Orphan]:
        """The orphans of a saga that wait for a person."""
        return await self._select(Orphan, work_sql.PARKED_ORPHANS, saga_id, lock=True)

    async def orphan_to_settle(
        self, saga_id: str, step: str, attempt: int, leg: int
    ) -> Orphan | None:
        """The orphan of this effect."""
        where = (saga_id, step, str(attempt), str(leg))
        found = await self._select(Orphan, work_sql.ORPHAN_TO_SETTLE, *where, lock=True)
        return next(iter(found), None)


class SqlWork(SqlOperations, SqlBatches):
    """All of `Work`."""

    async def now_if_merchant(
        self, merchant_id: str, reference: str | None
    ) -> tuple[datetime, str | None, Mapping[str, Any]] | None:
        """The database's clock, who holds the reference, and the routing terms, when the merchant
        is there.
        """
        await self._settle(Payment)
        found = await self._run(work_sql.MERCHANT_AND_REFERENCE, [reference, merchant_id])
        return (found[0][0].astimezone(UTC), found[0][2], found[0][1]) if found else None

    async def payout_with_reference(
        self, merchant_id: str, reference: str, *, but: str
    ) -> str | None:
        """The other payout that holds a reference."""
        await self._settle(Payout)
        found = await self._run(work_sql.PAYOUT_WITH_REFERENCE, [merchant_id, reference, but])
        return found[0][0] if found else None

    async def open_captures(self, payment_id: str) -> list[Capture]:
        """The payment's open captures."""
        return await self._select(Capture, work_sql.OPEN_CAPTURES, payment_id)

    async def ended_voids(self, payment_id: str) -> int:
        """How many requests to void have ended, refused ones included."""
        await self._settle(Operation)
        [[ended]] = await self._run(work_sql.ENDED_VOIDS, [payment_id])
        return int(ended)

    async def expired_authorizations(self, after: str | None, limit: int) -> list[Payment]:
        """Authorizations to end."""
        return await self._select(Payment, work_sql.EXPIRED_AUTHORIZATIONS, after or "", str(limit))

    async def captures_due(self, limit: int) -> list[tuple[str, str]]:
        """Captures whose money is due."""
        await self._settle(Capture)
        found = await self._run(work_sql.CAPTURES_DUE, [str(limit)])
        return [(capture_id, payment_id) for capture_id, payment_id in found]

    async def tranches_due(self, limit: int) -> list[str]:
        """Captures whose reserve is due."""
        await self._settle(ReserveTranche)
        return [row[0] for row in await self._run(work_sql.TRANCHES_DUE, [str(limit)])]

    async def mark_event(self, provider: str, event_id: str, status: str, detail: str) -> None:
        """Say what became of a stored event, once."""
        row = await self.get(ProviderEventRow, (provider, event_id), lock=True)
        if row is not None and row.status == "received":
            row.status, row.detail, row.applied_at = status, detail, self.clock

    async def unapplied_events(
        self, older_than_seconds: float, limit: int
    ) -> list[ProviderEventRow]:
        """Stored events that nobody has applied."""
        return await self._select(
            ProviderEventRow, work_sql.UNAPPLIED_EVENTS, str(older_than_seconds), str(limit)
        )

    async def told_events(
        self, provider: str, operation_id: str, payment_id: str
    ) -> list[ProviderEventRow]:
        """All stored events that name an operation or its payment."""
        where = (provider, operation_id, payment_id)
        return await self._select(ProviderEventRow, work_sql.TOLD_EVENTS, *where)

    async def breaker(self, provider: str, operation_class: str, phase: str) -> BreakerRow:
        """A breaker's row, made where there was none, and locked."""
        key = {"provider": provider, "operation_class": operation_class}
        made = await self._insert_unless_there(BreakerRow, key | {"phase": phase})
        row = made or await self.get(BreakerRow, (provider, operation_class), lock=True)
        if row is None:
            raise InvariantBroken(f"the breaker of {provider} is not there any more")
        return row
