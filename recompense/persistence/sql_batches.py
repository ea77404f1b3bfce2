"""How PostgreSQL answers the questions about a bank rail."""

from __future__ import annotations

from recompense.persistence.batch_rows import NewBankFile, NewBatch, NewEvent
from recompense.persistence.batch_tables import PayoutBatchItem, PayoutBatchRow
from recompense.persistence.saga_tables import ProviderEventRow
from recompense.persistence.sql_rows import SqlRows, parameter

_ITEM_WITH_REFERENCE = "WHERE provider = %s AND reference = %s FOR UPDATE"
_ITEM_WITHDRAWN_BY = "WHERE withdrawn_by = %s"
_ITEMS_OF_BATCH = "WHERE batch_id = %s ORDER BY position"
_BATCH_WITH_REFERENCE = "WHERE provider = %s AND reference = %s"

_CLOSE = """
WITH waiting AS (
    SELECT effect_key, amount, currency, collected_at FROM payout_batch_items
    WHERE provider = %s AND status = 'collected'
    ORDER BY collected_at, effect_key LIMIT %s FOR UPDATE
), made AS (
    INSERT INTO payout_batches (id, provider, effect_key, reference, items, total, currency)
    SELECT %s, %s, %s, %s, count(*), sum(amount), min(currency) FROM waiting
    HAVING count(*) > 0
    RETURNING id
)
UPDATE payout_batch_items SET status = 'batched', batch_id = made.id, position = placed.place
FROM made, (
    SELECT effect_key, row_number() OVER (ORDER BY collected_at, effect_key) AS place FROM waiting
) placed
WHERE payout_batch_items.effect_key = placed.effect_key
RETURNING true
"""

_REJECTED_OF_BATCH = """
SELECT DISTINCT payout_batch_items.effect_key FROM payout_batch_items
JOIN provider_events ON provider_events.effect_key = payout_batch_items.effect_key
WHERE batch_id = %s AND event_type = 'bank.rejected'
"""

_STORE_FILE = """
INSERT INTO bank_files (provider, sha256, name, content, status, detail)
VALUES (%s, %s, %s, decode(%s, 'hex'), %s, %s) ON CONFLICT DO NOTHING RETURNING true
"""

_STORE_EVENT = """
INSERT INTO provider_events (provider, event_id, event_type, object_reference, operation_id,
    effect_key, payload, status)
VALUES (%s, %s, %s, %s, %s, %s, %s, 'received') ON CONFLICT DO NOTHING
RETURNING true
"""


class SqlBatches(SqlRows):
    """Instructions, batches and bank files."""

    async def item_with_reference(self, provider: str, reference: str) -> PayoutBatchItem | None:
        """The instruction with this reference."""
        found = await self._select(
            PayoutBatchItem, _ITEM_WITH_REFERENCE, provider, reference, lock=True
        )
        return next(iter(found), None)

    async def item_withdrawn_by(self, effect_key: str) -> PayoutBatchItem | None:
        """The instruction that this cancel took out."""
        return next(iter(await self._select(PayoutBatchItem, _ITEM_WITHDRAWN_BY, effect_key)), None)

    async def close_batch(self, batch: NewBatch) -> bool:
        """Make the batch and move its instructions, in one statement."""
        await self._settle(PayoutBatchItem)
        values = [batch.id, batch.provider, batch.effect_key, batch.reference]
        moved = await self._run(_CLOSE, [batch.provider, str(batch.most_items), *values])
        return bool(moved)

    async def items_of_batch(self, batch_id: str) -> list[PayoutBatchItem]:
        """What a batch holds."""
        return await self._select(PayoutBatchItem, _ITEMS_OF_BATCH, batch_id)

    async def batch_with_reference(self, provider: str, reference: str) -> PayoutBatchRow | None:
        """The batch with this reference."""
        found = await self._select(PayoutBatchRow, _BATCH_WITH_REFERENCE, provider, reference)
        return next(iter(found), None)

    async def rejected_of_batch(self, batch_id: str) -> set[str]:
        """What the bank has rejected of a batch."""
        return {key for (key,) in await self._run(_REJECTED_OF_BATCH, [batch_id])}

    async def store_bank_file(self, file: NewBankFile) -> bool:
        """Keep a file once."""
        values = [file.provider, file.sha256, file.name, file.content.hex(), file.status]
        return bool(await self._run(_STORE_FILE, [*values, file.detail]))

    async def store_event(self, event: NewEvent) -> None:
        """Put an event into the inbox."""
        await self._settle(ProviderEventRow)
        values = (
            event.provider,
            event.event_id,
            event.event_type,
            event.object_reference,
            event.operation_id,
            event.effect_key,
            event.payload,
        )
        await self._run(_STORE_EVENT, [parameter(value) for value in values])
