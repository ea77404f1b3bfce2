"""The questions about a bank rail, answered from dictionaries."""

from __future__ import annotations

from recompense.persistence.batch_rows import NewBankFile, NewBatch, NewEvent
from recompense.persistence.batch_tables import BankFileRow, PayoutBatchItem, PayoutBatchRow
from recompense.persistence.saga_tables import ProviderEventRow
from tests.simulation.memory_rows import MemoryRows


class MemoryBatches(MemoryRows):
    """Instructions, batches and bank files."""

    async def item_with_reference(self, provider: str, reference: str) -> PayoutBatchItem | None:
        """The instruction with this reference."""
        where = (provider, reference)
        found = self.all(PayoutBatchItem, lambda row: (row.provider, row.reference) == where)
        return found[0] if found else None

    async def item_withdrawn_by(self, effect_key: str) -> PayoutBatchItem | None:
        """The instruction that this cancel took out."""
        found = self.all(PayoutBatchItem, lambda row: row.withdrawn_by == effect_key)
        return found[0] if found else None

    async def close_batch(self, batch: NewBatch) -> bool:
        """Make the batch and move its instructions."""
        waiting = self.all(
            PayoutBatchItem,
            lambda row: row.provider == batch.provider and row.status == "collected",
        )
        waiting.sort(key=lambda row: (row.collected_at, row.effect_key))
        taken = waiting[: batch.most_items]
        if not taken:
            return False
        self.add(
            PayoutBatchRow(
                id=batch.id,
                provider=batch.provider,
                effect_key=batch.effect_key,
                reference=batch.reference,
                items=len(taken),
                total=sum(row.amount for row in taken),
                currency=min(row.currency for row in taken),
            )
        )
        for place, row in enumerate(taken, 1):
            row.status, row.batch_id, row.position = "batched", batch.id, place
        self.write()
        return True

    async def items_of_batch(self, batch_id: str) -> list[PayoutBatchItem]:
        """What a batch holds."""
        found = self.all(PayoutBatchItem, lambda row: row.batch_id == batch_id)
        return sorted(found, key=lambda row: row.position or 0)

    async def batch_with_reference(self, provider: str, reference: str) -> PayoutBatchRow | None:
        """The batch with this reference."""
        where = (provider, reference)
        found = self.all(PayoutBatchRow, lambda row: (row.provider, row.reference) == where)
        return found[0] if found else None

    async def rejected_of_batch(self, batch_id: str) -> set[str]:
        """What the bank has rejected of a batch."""
        keys = {row.effect_key for row in await self.items_of_batch(batch_id)}
        told = self.all(ProviderEventRow, lambda row: row.event_type == "bank.rejected")
        return {row.effect_key for row in told if row.effect_key in keys}

    async def store_bank_file(self, file: NewBankFile) -> bool:
        """Keep a file once."""
        if await self.get(BankFileRow, (file.provider, file.sha256)) is not None:
            return False
        self.add(
            BankFileRow(
                provider=file.provider,
                sha256=file.sha256,
                name=file.name,
                content=file.content,
                status=file.status,
                detail=file.detail,
            )
        )
        self.write()
        return True

    async def store_event(self, event: NewEvent) -> None:
        """Put an event into the inbox."""
        if await self.get(ProviderEventRow, (event.provider, event.event_id)) is None:
            self.add(
                ProviderEventRow(
                    provider=event.provider,
                    event_id=event.event_id,
                    event_type=event.event_type,
                    object_reference=event.object_reference,
                    operation_id=event.operation_id,
                    effect_key=event.effect_key,
                    payload=dict(event.payload),
                )
            )
            self.write()
