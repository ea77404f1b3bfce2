"""The simulation's store and PostgreSQL answer alike about a bank rail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from recompense.persistence.batch_rows import NewBankFile, NewBatch, NewEvent
from recompense.persistence.batch_tables import PayoutBatchItem
from recompense.persistence.database import Database
from recompense.persistence.saga_tables import JournalRow, Operation
from recompense.persistence.work import Store, Work
from tests.simulation.memory_store import MemoryStore
from tests.support.rows_shown import shown

KEYS = ("po_1:payout:1", "po_2:payout:1", "po_3:payout:1")


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[tuple[Store, Store]]:
    database = Database(database_url)
    yield database, MemoryStore(lambda: datetime(2026, 11, 27, tzinfo=UTC))
    await database.close()


async def test_both_stores_answer_alike_about_a_window(stores: tuple[Store, Store]) -> None:
    in_database, in_memory = [await _window(store) for store in stores]
    assert in_database == in_memory
    assert in_database[0] is False
    assert len(in_database) > 15


async def _window(store: Store) -> list[object]:
    told: list[object] = []
    async with store.work() as work:
        told.append(await work.close_batch(_batch("sepa/1")))
        for number, key in enumerate(KEYS):
            await _collected(work, key, 1_000 + number)
    async with store.work() as work:
        item = await work.item_with_reference("sepa", "R1")
        assert item is not None
        item.status, item.withdrawn_by = "withdrawn", "po_2:payout.cancel:1"
    async with store.work() as work:
        told.append(await work.item_with_reference("sepa", "R9"))
        told.append(await work.item_with_reference("other", "R1"))
        told.append(_shown(await work.item_withdrawn_by("po_2:payout.cancel:1")))
        told.append(await work.item_withdrawn_by("po_1:payout.cancel:1"))
        told.append(await work.close_batch(_batch("sepa/1")))
    async with store.work() as work:
        told.append(await work.close_batch(_batch("sepa/2")))
        told += shown(await work.items_of_batch("sepa/1"))
        told += shown(await work.items_of_batch("sepa/2"))
        told.append(_shown(await work.batch_with_reference("sepa", "M-sepa/1")))
        told.append(await work.batch_with_reference("sepa", "M-sepa/2"))
    for file in (_file(b"a"), _file(b"a"), _file(b"b")):
        async with store.work() as work:
            told.append(await work.store_bank_file(file))
    async with store.work() as work:
        told.append(await work.rejected_of_batch("sepa/1"))
        for event in (_event("e1", KEYS[0], "rejected"), _event("e1", KEYS[0], "rejected")):
            await work.store_event(event)
        await work.store_event(_event("e2", KEYS[2], "booked"))
        told.append(await work.rejected_of_batch("sepa/1"))
        told.append(await work.rejected_of_batch("sepa/2"))
    return told


def _shown(row: PayoutBatchItem | object | None) -> object:
    return None if row is None else shown([row])


async def _collected(work: Work, key: str, amount: int) -> None:
    payout_id = key.partition(":")[0]
    work.add(
        Operation(
            saga_id=f"payout/{payout_id}",
            kind="payout",
            operation_id=payout_id,
            merchant_id="mer_1",
            input={},
            requested_by="test",
        )
    )
    await work.flush()
    work.add(
        JournalRow(
            saga_id=f"payout/{payout_id}",
            step="payout",
            attempt=1,
            provider="sepa",
            operation_id=payout_id,
            effect_key=key,
            call={},
            call_digest="d",
        )
    )
    await work.flush()
    number = KEYS.index(key)
    work.add(
        PayoutBatchItem(
            effect_key=key,
            provider="sepa",
            operation_id=payout_id,
            reference=f"R{number}",
            amount=amount,
            currency="EUR",
            token=f"t{number}",
        )
    )
    await work.flush()


def _batch(batch_id: str) -> NewBatch:
    return NewBatch(batch_id, "sepa", f"{batch_id}:submit:1", f"M-{batch_id}", 10)


def _file(content: bytes) -> NewBankFile:
    return NewBankFile("sepa", content.hex() * 32, "a.xml", content, "read", "told 1")


def _event(event_id: str, key: str, kind: str) -> NewEvent:
    payout_id = key.partition(":")[0]
    return NewEvent("sepa", event_id, f"bank.{kind}", "R0", payout_id, key, {})
