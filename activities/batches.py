"""A window of payouts: closed in one transaction, then delivered as one file."""

from __future__ import annotations

from datetime import UTC

from temporalio import activity

from activities.toolbox import Toolbox
from recompense.contracts.bank_rail import (
    BatchSubmitted,
    ClosedWindow,
    CloseWindow,
    SubmitBatch,
)
from recompense.contracts.batches import BatchItem, BatchPayouts, PayoutBatch
from recompense.domain.effects import effect_key
from recompense.domain.failures import InvariantBroken
from recompense.persistence.batch_rows import NewBatch
from recompense.persistence.batch_tables import PayoutBatchItem, PayoutBatchRow

MOST_ITEMS = 5_000
"""How many payouts one file carries; what is left goes with the next window."""


class BatchActivities:
    """Close windows and deliver their files."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="provider.close_window")
    async def close(self, window: CloseWindow) -> ClosedWindow:
        """Take what waits into a batch, once for each window. The batch's row is the intent that
        stands in the database before any byte of its file leaves.
        """
        batch_id = f"{window.provider}/{window.closes_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        batch = NewBatch(
            id=batch_id,
            provider=window.provider,
            effect_key=effect_key(batch_id, "submit", 1),
            reference=self._port(window.provider).batch_reference(batch_id),
            most_items=MOST_ITEMS,
        )
        async with self._tools.store.work() as work:
            if await work.get(PayoutBatchRow, batch_id) is None:
                await work.close_batch(batch)
            row = await work.get(PayoutBatchRow, batch_id)
            if row is None:
                return ClosedWindow()
            return ClosedWindow(
                batch_id=row.id, items=row.items, total=row.total, currency=row.currency
            )

    @activity.defn(name="provider.submit_batch")
    async def submit(self, submit: SubmitBatch) -> BatchSubmitted:
        """Deliver a batch's file and note that it went. Repeating it is safe at any time: the
        adapter delivers a batch once.
        """
        async with self._tools.store.work() as work:
            row = await work.get(PayoutBatchRow, submit.batch_id)
            items = await work.items_of_batch(submit.batch_id)
        if row is None:
            raise InvariantBroken(f"there is no batch {submit.batch_id}")
        if row.file_name is not None and row.sha256 is not None:
            return BatchSubmitted(file_name=row.file_name, sha256=row.sha256)
        receipt = await self._port(submit.provider).submit_batch(_batch(row, items))
        if set(receipt.outcomes) != {item.effect_key for item in items}:
            raise InvariantBroken("the receipt speaks of other payouts than the batch holds")
        async with self._tools.store.work() as work:
            sent = await work.get(PayoutBatchRow, submit.batch_id, lock=True)
            if sent is not None and sent.status == "closed":
                sent.status, sent.sent_at = "sent", work.clock
                sent.file_name, sent.sha256 = receipt.file_name, receipt.sha256
        return BatchSubmitted(file_name=receipt.file_name, sha256=receipt.sha256)

    def _port(self, provider: str) -> BatchPayouts:
        port = self._tools.providers.port(provider)
        if not isinstance(port, BatchPayouts):
            raise InvariantBroken(f"provider {provider} takes no batches")
        return port


def _batch(row: PayoutBatchRow, items: list[PayoutBatchItem]) -> PayoutBatch:
    if (len(items), sum(item.amount for item in items)) != (row.items, row.total):
        raise InvariantBroken(f"batch {row.id} does not add up")
    return PayoutBatch(
        batch_id=row.id,
        effect_key=row.effect_key,
        closed_at=row.closed_at,
        items=tuple(
            BatchItem(
                effect_key=item.effect_key,
                amount=item.amount,
                currency=item.currency,
                token=item.token,
            )
            for item in items
        ),
    )
