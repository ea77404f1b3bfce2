"""What a bank leaves: each file is kept as it came, and what it says goes into the inbox, all of it
or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from temporalio import activity

from activities.toolbox import Toolbox
from recompense.contracts.bank_rail import FilesRead, ReadFiles
from recompense.contracts.batches import BankFileRefused, BankFiles, BankNews, NewsKind
from recompense.contracts.sagas import ProviderEventInput
from recompense.domain.failures import InvariantBroken
from recompense.persistence.batch_rows import NewBankFile, NewEvent
from recompense.persistence.batch_tables import PayoutBatchItem
from recompense.persistence.work import Work

MOST_FILES = 100
"""How many files one reading takes; the next one takes the rest."""
MOST_EVENTS = 200
"""How many events are applied at once; the relay takes the rest."""
_OF_A_WHOLE_BATCH = frozenset({NewsKind.REJECTED, NewsKind.SETTLED, NewsKind.BOOKED})


class BankFileActivities:
    """Read the files of a bank."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @activity.defn(name="provider.read_bank_files")
    async def read(self, read: ReadFiles) -> FilesRead:
        """Fetch, keep, read and put aside every file that waits. A file whose bytes are known tells
        nothing twice; a crash between any two steps reads it again.
        """
        port = self._tools.providers.port(read.provider)
        if not isinstance(port, BankFiles):
            raise InvariantBroken(f"provider {read.provider} leaves no files")
        total = FilesRead()
        for file in (await port.list_bank_files())[:MOST_FILES]:
            activity.heartbeat()
            total = _sum(total, await self._one(read.provider, port, file.name))
        return total

    async def _one(self, provider: str, port: BankFiles, name: str) -> FilesRead:
        # A name that is no text is kept in a form that is.
        shown = name.encode(errors="replace").decode()
        try:
            content = await port.fetch_bank_file(name)
        except BankFileRefused as refused:
            # Too large to be kept: it stays where it is, for a person.
            return FilesRead(files=1, refused=(f"{shown}: {refused.code}",))
        sha256 = hashlib.sha256(content).hexdigest()
        news: tuple[BankNews, ...] = ()
        refusal: BankFileRefused | None = None
        try:
            news = port.read_bank_file(content)
        except BankFileRefused as refused:
            refusal = refused
        status, detail = "read", f"told {len(news)}"
        if refusal is not None:
            status, detail = "refused", f"{refusal.code}: {refusal}"
        kept = NewBankFile(provider, sha256, shown, content, status, detail)
        told, events = 0, list[NewEvent]()
        async with self._tools.store.work() as work:
            is_new = await work.store_bank_file(kept)
            if is_new:
                told, events = await _tell(work, provider, sha256, news)
        await port.archive_bank_file(name, sha256)
        if not is_new:
            return FilesRead(files=1)
        named = () if refusal is None else (f"{shown}: {refusal.code}",)
        return FilesRead(
            files=1,
            refused=named,
            told=told,
            unmatched=len(news) - told,
            events=tuple(_input(event) for event in events[:MOST_EVENTS]),
        )


async def _tell(
    work: Work, provider: str, sha256: str, news: Sequence[BankNews]
) -> tuple[int, list[NewEvent]]:
    """Put what speaks of our instructions into the inbox. Returns how much of the news did, and the
    events.
    """
    told, events = 0, list[NewEvent]()
    for one in news:
        items = await _items(work, provider, one)
        told += bool(items)
        for item in items:
            event = _event(provider, f"{sha256[:32]}.{one.number}", one, item)
            await work.store_event(event)
            events.append(event)
    return told, events


def _input(event: NewEvent) -> ProviderEventInput:
    return ProviderEventInput(provider=event.provider, event_id=event.event_id)


async def _items(work: Work, provider: str, one: BankNews) -> list[PayoutBatchItem]:
    """The instructions that news is about: the one it names, or all of the batch that it names."""
    if one.reference is not None:
        item = await work.item_with_reference(provider, one.reference)
        if item is not None:
            return [item]
    if one.batch_reference is None or one.kind not in _OF_A_WHOLE_BATCH:
        return []
    batch = await work.batch_with_reference(provider, one.batch_reference)
    if batch is None:
        return []
    items = await work.items_of_batch(batch.id)
    if one.kind is not NewsKind.BOOKED or _is_sum(one, items):
        return items
    rejected = await work.rejected_of_batch(batch.id)
    rest = [item for item in items if item.effect_key not in rejected]
    return rest if _is_sum(one, rest) else []


def _is_sum(one: BankNews, items: Sequence[PayoutBatchItem]) -> bool:
    """Whether a batch booking is the sum of exactly these; any other sum pays nobody."""
    if one.items not in (None, len(items)) or any(i.currency != one.currency for i in items):
        return False
    return bool(items) and one.amount == sum(item.amount for item in items)


def _event(provider: str, event_id: str, one: BankNews, item: PayoutBatchItem) -> NewEvent:
    names_it = one.reference == item.reference
    about = one if names_it else _share(one, item)
    return NewEvent(
        provider=provider,
        event_id=event_id if names_it else f"{event_id}.{item.position}",
        event_type=f"bank.{one.kind}",
        object_reference=item.reference,
        operation_id=item.operation_id,
        effect_key=item.effect_key,
        payload=about.model_dump(mode="json"),
    )


def _share(one: BankNews, item: PayoutBatchItem) -> BankNews:
    """The part of news of a whole batch that is one instruction's: its amount is its own."""
    has_amount = one.amount is not None
    return one.model_copy(
        update={
            "reference": item.reference,
            "amount": item.amount if has_amount else None,
            "currency": item.currency if has_amount else None,
            "items": 1,
        }
    )


def _sum(total: FilesRead, one: FilesRead) -> FilesRead:
    return FilesRead(
        files=total.files + one.files,
        refused=total.refused + one.refused,
        told=total.told + one.told,
        unmatched=total.unmatched + one.unmatched,
        events=(total.events + one.events)[:MOST_EVENTS],
    )
