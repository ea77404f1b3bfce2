"""The named questions of `Work`, answered from dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from recompense.contracts.sagas import SagaKind, SagaRef
from recompense.domain.effects import AttemptState
from recompense.domain.states import CaptureStatus, PaymentStatus, PayoutStatus, SagaState
from recompense.persistence.saga_tables import (
    Attempt,
    BreakerRow,
    JournalRow,
    Operation,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import Capture, Merchant, Payment, Payout, ReserveTranche
from recompense.persistence.views import AUTHORIZED_STATUSES
from recompense.persistence.work import EffectKey
from tests.simulation.memory_batches import MemoryBatches


class MemoryWork(MemoryBatches):
    """All of `Work`."""

    # Operations and the journal

    async def insert_operation(self, values: Mapping[str, Any]) -> Operation | None:
        """Make an operation."""
        if await self.get(Operation, values["saga_id"]) is not None:
            return None
        operation = Operation(**values)
        self.add(operation)
        self.write()
        return operation

    async def lock_step(self, effect: EffectKey, run_id: str, saga: SagaRef) -> None:
        """Nothing else runs meanwhile: there is nothing to lock, and reading is free."""

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
        orphaned = {row.saga_id for row in self.all(Orphan, lambda row: row.status == "parked")}
        parked = self.all(
            Operation,
            lambda row: row.saga_state == SagaState.PARKED or row.saga_id in orphaned,
        )
        if saga.payment_id is not None:
            payment = await self.get(Payment, saga.payment_id)
            if payment is not None:
                payment.needs_attention = any(row.payment_id == saga.payment_id for row in parked)
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
        self, row: JournalRow, calls: Sequence[Mapping[str, Any]], source: str
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
        present = self.found(JournalRow, (row.saga_id, row.step, row.attempt, row.leg))
        if present is None or present.outcome_kind is not None:
            return None
        read = (row.right_run_id, row.right_try, row.sendable_until)
        now = (present.right_run_id, present.right_try, present.sendable_until)
        return present if read == now else None

    async def forward_effects(self, saga_id: str, attempt: int) -> list[JournalRow]:
        """The effects of an attempt that move money forward, the newest first."""
        found = self.all(
            JournalRow,
            lambda row: row.saga_id == saga_id and row.attempt == attempt,
            lambda row: not row.step.endswith((".undo", ".orphan")),
        )
        return _newest_first(found)

    async def newest_leg(self, saga_id: str, step: str, attempt: int) -> JournalRow | None:
        """The last leg of a step."""
        where = (saga_id, step, attempt)
        found = self.all(JournalRow, lambda row: (row.saga_id, row.step, row.attempt) == where)
        return max(found, key=lambda row: row.leg, default=None)

    async def effect_by_key(self, effect_key: str) -> JournalRow | None:
        """The effect with this key."""
        found = self.all(JournalRow, lambda row: row.effect_key == effect_key)
        return found[0] if found else None

    async def newest_effect(self, operation_id: str, provider: str) -> JournalRow | None:
        """The operation's newest forward effect."""
        where = (operation_id, provider)
        found = self.all(
            JournalRow,
            lambda row: (row.operation_id, row.provider) == where,
            lambda row: not row.step.endswith(".undo"),
        )
        return next(iter(_newest_first(found)), None)

    async def effect_made_as(
        self, payment_id: str, provider: str, reference: str
    ) -> JournalRow | None:
        """The effect on a payment that a provider calls by this name."""
        sagas = {row.saga_id for row in self.all(Operation) if row.payment_id == payment_id}
        found = self.all(
            JournalRow,
            lambda row: row.saga_id in sagas and row.provider == provider,
            lambda row: (row.outcome or {}).get("reference") == reference,
        )
        return min(found, key=lambda row: row.created_at, default=None)

    async def orphan_of(self, row: JournalRow) -> Orphan | None:
        """The orphan that this effect became."""
        where = (row.saga_id, row.step, row.attempt, row.leg)
        found = self.all(Orphan, lambda orphan: (*_step_of(orphan), orphan.leg) == where)
        return found[0] if found else None

    async def parked_orphans(self, saga_id: str) -> list[Orphan]:
        """The orphans of a saga that wait for a person."""
        return self.all(
            Orphan, lambda row: row.saga_id == saga_id, lambda row: row.status == "parked"
        )

    async def orphan_to_settle(
        self, saga_id: str, step: str, attempt: int, leg: int
    ) -> Orphan | None:
        """The orphan of this effect."""
        where = (saga_id, step, attempt, leg)
        found = self.all(Orphan, lambda orphan: (*_step_of(orphan), orphan.leg) == where)
        return found[0] if found else None

    # Resources

    async def now_if_merchant(
        self, merchant_id: str, reference: str | None
    ) -> tuple[datetime, str | None, Mapping[str, Any]] | None:
        """The clock, the payment that holds the reference, and the routing terms, when the merchant
        is there.
        """
        merchant = self.found(Merchant, (merchant_id,))
        if merchant is None:
            return None
        ended = {PaymentStatus.DECLINED, PaymentStatus.FAILED}
        found = self.all(
            Payment,
            lambda row: (row.merchant_id, row.reference) == (merchant_id, reference),
            lambda row: reference is not None and row.status not in ended,
        )
        return self.clock, found[0].id if found else None, merchant.routing

    async def payout_with_reference(
        self, merchant_id: str, reference: str, *, but: str
    ) -> str | None:
        """The other payout that holds a reference."""
        ended = {PayoutStatus.FAILED, PayoutStatus.CANCELED}
        found = self.all(
            Payout,
            lambda row: (row.merchant_id, row.reference) == (merchant_id, reference),
            lambda row: row.status not in ended and row.id != but,
        )
        return found[0].id if found else None

    async def open_captures(self, payment_id: str) -> list[Capture]:
        """The payment's open captures."""
        return self.all(
            Capture,
            lambda row: row.payment_id == payment_id and row.status == CaptureStatus.PENDING,
        )

    async def ended_voids(self, payment_id: str) -> int:
        """How many requests to void have ended, refused ones included."""
        ended = self.all(
            Operation,
            lambda row: row.payment_id == payment_id and row.kind == SagaKind.VOID,
            lambda row: row.attempt_state in {AttemptState.RECORDED, AttemptState.CLOSED},
        )
        return len(ended)

    async def expired_authorizations(self, after: str | None, limit: int) -> list[Payment]:
        """Authorizations to end."""
        now = self.clock
        found = self.all(
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
        found = self.all(
            Capture,
            lambda row: row.status == CaptureStatus.SUCCEEDED and not row.made_available,
            lambda row: row.available_at is not None and row.available_at <= now,
        )
        found.sort(key=lambda row: row.available_at or now)
        return [(row.id, row.payment_id) for row in found[:limit]]

    async def tranches_due(self, limit: int) -> list[str]:
        """Captures whose reserve is due."""
        now = self.clock
        found = self.all(
            ReserveTranche, lambda row: row.released_at is None and row.release_at <= now
        )
        found.sort(key=lambda row: row.release_at)
        return [row.capture_id for row in found[:limit]]

    # The inbox and the breakers

    async def mark_event(self, provider: str, event_id: str, status: str, detail: str) -> None:
        """Say what became of a stored event, once."""
        row = await self.get(ProviderEventRow, (provider, event_id))
        if row is not None and row.status == "received":
            row.status, row.detail, row.applied_at = status, detail, self.clock

    async def unapplied_events(
        self, older_than_seconds: float, limit: int
    ) -> list[ProviderEventRow]:
        """Stored events that nobody has applied."""
        before = self.clock - timedelta(seconds=older_than_seconds)
        found = self.all(
            ProviderEventRow,
            lambda row: row.status == "received" and row.received_at < before,
        )
        a_day_ago = self.clock - timedelta(days=1)
        ordered = sorted(found, key=lambda row: (row.received_at < a_day_ago, row.received_at))
        return ordered[:limit]

    async def told_events(
        self, provider: str, operation_id: str, payment_id: str
    ) -> list[ProviderEventRow]:
        """All stored events that name an operation or its payment."""
        found = self.all(
            ProviderEventRow,
            lambda row: row.provider == provider,
            lambda row: row.operation_id in (operation_id, payment_id),
        )
        return sorted(found, key=lambda row: (row.received_at, row.event_id))

    async def breaker(self, provider: str, operation_class: str, phase: str) -> BreakerRow:
        """A breaker's row, made where there was none."""
        row = await self.get(BreakerRow, (provider, operation_class))
        if row is None:
            row = BreakerRow(provider=provider, operation_class=operation_class, phase=phase)
            self.add(row)
            self.write()
        return row


def _newest_first(rows: list[JournalRow]) -> list[JournalRow]:
    return sorted(reversed(rows), key=lambda row: row.created_at, reverse=True)


def _step_of(orphan: Orphan) -> tuple[str, str, int]:
    return (orphan.saga_id, orphan.step, orphan.attempt)
