"""What activities may ask of the store about a bank rail: a part of `Work`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from recompense.persistence.batch_tables import PayoutBatchItem, PayoutBatchRow


@dataclass(frozen=True)
class NewBatch:
    """A window that is to be closed."""

    id: str
    provider: str
    effect_key: str
    reference: str
    most_items: int


@dataclass(frozen=True)
class NewBankFile:
    """A bank's file and what reading it came to."""

    provider: str
    sha256: str
    name: str
    content: bytes
    status: str
    detail: str


@dataclass(frozen=True)
class NewEvent:
    """Something that a provider told otherwise than by a webhook, for the inbox."""

    provider: str
    event_id: str
    event_type: str
    object_reference: str
    operation_id: str
    effect_key: str
    payload: dict[str, object]


class BatchRows(Protocol):
    """Instructions, batches, bank files, and the events that these become."""

    async def item_with_reference(self, provider: str, reference: str) -> PayoutBatchItem | None:
        """The instruction that the bank knows by this reference, locked."""
        ...

    async def item_withdrawn_by(self, effect_key: str) -> PayoutBatchItem | None:
        """The instruction that a cancel of this effect key took out of its window."""
        ...

    async def close_batch(self, batch: NewBatch) -> bool:
        """Take the instructions that wait, oldest first, into a new batch: all of it at once.

        False: none wait. One that is being withdrawn meanwhile is in the batch or withdrawn, never
        both.
        """
        ...

    async def items_of_batch(self, batch_id: str) -> list[PayoutBatchItem]:
        """What a batch holds, in the file's order."""
        ...

    async def batch_with_reference(self, provider: str, reference: str) -> PayoutBatchRow | None:
        """The batch that the bank knows by this reference."""
        ...

    async def rejected_of_batch(self, batch_id: str) -> set[str]:
        """The effect keys of a batch's instructions that the bank has rejected."""
        ...

    async def store_bank_file(self, file: NewBankFile) -> bool:
        """Keep a file once. False: the same bytes are there already."""
        ...

    async def store_event(self, event: NewEvent) -> None:
        """Put an event into the inbox, once."""
        ...
