"""What activities may ask of the store, in one transaction: rows by their key, and named questions.

Activities hold no SQL. PostgreSQL answers through `SqlWork`; the simulation answers from
dictionaries, and a test of the database tier holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlmodel import SQLModel

from recompense.contracts.sagas import SagaRef
from recompense.ledger.postings import Posting
from recompense.persistence.batch_rows import BatchRows
from recompense.persistence.saga_tables import (
    BreakerRow,
    JournalRow,
    Operation,
    Orphan,
    ProviderEventRow,
)
from recompense.persistence.tables import Capture, Payment

Row = TypeVar("Row", bound=SQLModel)
Key = str | None | tuple[str | int | None, ...]
"""A primary key. One with a part that is None names no row."""
EffectKey = tuple[str, str, int, int]
"""The primary key of a journal row: saga, step, attempt, leg."""


class Rows(Protocol):
    """Rows by their key, and the one clock that rows agree on."""

    @property
    def clock(self) -> datetime:
        """The database's clock, to be assigned to a row's column: read when the row is written."""
        ...

    async def now(self) -> datetime:
        """The database's clock, by which all send rights are measured. UTC."""
        ...

    async def get(self, table: type[Row], key: Key, *, lock: bool = False) -> Row | None:
        """A row by its primary key. `lock` reads it afresh and keeps it until the transaction
        ends.
        """
        ...

    def add(self, row: SQLModel) -> None:
        """Insert a row at the next flush."""
        ...

    async def flush(self) -> None:
        """Write what changed, and read back what the database set. Raises what a constraint
        refuses.
        """
        ...

    def savepoint(self) -> AbstractAsyncContextManager[object]:
        """What is written inside does not stay when the block raises; the transaction goes on."""
        ...

    async def post(self, posting: Posting) -> None:
        """Write a posting once.

        Raises `InsufficientAvailableBalance`, or `InvariantBroken` for another content.
        """
        ...


class OperationRows(Protocol):
    """Operations, their attempts and their journal."""

    async def insert_operation(self, values: Mapping[str, Any]) -> Operation | None:
        """Make an operation, its row locked. None: it is there already."""
        ...

    async def lock_step(self, effect: EffectKey, run_id: str, saga: SagaRef) -> None:
        """Lock and read together what a step stands on: its operation, the effect's journal row,
        the run, and the payment where there is one.

        `get` finds them without asking again. It promises nothing else: what is not there is for
        `get` to say.
        """
        ...

    async def end_attempt(
        self, saga_id: str, number: int, report: Mapping[str, Any] | None
    ) -> None:
        """Note when an attempt ended, and its compensation report where there is one."""
        ...

    async def show_attention(self, saga: SagaRef) -> None:
        """Show on the resource whether a person is asked by any of its sagas."""
        ...

    async def take_right(
        self, row: JournalRow, *, run_id: str, right_try: int, send_by: datetime
    ) -> bool:
        """Take the send right, when it is still the one `row` was read with and nothing is known.

        The first send is now, where there was none. `row` itself stays as it was read.
        """
        ...

    async def conclude_absent(
        self, row: JournalRow, calls: Sequence[Mapping[str, Any]], source: str
    ) -> bool:
        """Write the final outcome `absent`, under the same condition as `take_right`."""
        ...

    async def forward_effects(self, saga_id: str, attempt: int) -> list[JournalRow]:
        """The effects of an attempt that move money forward, the newest first."""
        ...

    async def newest_leg(self, saga_id: str, step: str, attempt: int) -> JournalRow | None:
        """The last leg of a step."""
        ...

    async def effect_by_key(self, effect_key: str) -> JournalRow | None:
        """The effect that a provider knows by this key."""
        ...

    async def newest_effect(self, operation_id: str, provider: str) -> JournalRow | None:
        """The operation's newest forward effect at this provider."""
        ...

    async def effect_made_as(
        self, payment_id: str, provider: str, reference: str
    ) -> JournalRow | None:
        """The effect on a payment that a provider calls by this name of its own."""
        ...

    async def orphan_of(self, row: JournalRow) -> Orphan | None:
        """The orphan that this effect became."""
        ...

    async def orphan_to_settle(
        self, saga_id: str, step: str, attempt: int, leg: int
    ) -> Orphan | None:
        """The first orphan of a step, locked."""
        ...

    async def parked_orphans(self, saga_id: str) -> list[Orphan]:
        """The orphans of a saga of which a person has to say what shall become, oldest first."""
        ...


class ResourceRows(Protocol):
    """Payments, captures, voids and payouts, and who they belong to."""

    async def now_if_merchant(
        self, merchant_id: str, reference: str | None
    ) -> tuple[datetime, str | None, Mapping[str, Any]] | None:
        """The database's clock, the merchant's payment with this reference that has neither been
        declined nor failed, and the merchant's routing terms. None: there is no such merchant.
        """
        ...

    async def payout_with_reference(
        self, merchant_id: str, reference: str, *, but: str
    ) -> str | None:
        """The merchant's other payout with this reference that has neither failed nor been
        canceled.
        """
        ...

    async def open_captures(self, payment_id: str) -> list[Capture]:
        """The payment's captures whose outcome is not known yet."""
        ...

    async def ended_voids(self, payment_id: str) -> int:
        """How many requests to void the payment have ended."""
        ...

    async def expired_authorizations(self, after: str | None, limit: int) -> list[Payment]:
        """Payments past their validity with something left to void and no capture or void open, by
        id.
        """
        ...

    async def captures_due(self, limit: int) -> list[tuple[str, str]]:
        """Captures, with their payments, whose money is due and not available yet."""
        ...

    async def tranches_due(self, limit: int) -> list[str]:
        """Captures of which a reserve keeps a part that is due and not released yet."""
        ...


class InboxRows(Protocol):
    """Stored webhooks, and the breakers."""

    async def mark_event(self, provider: str, event_id: str, status: str, detail: str) -> None:
        """Say what became of a stored event, once: one that was applied or ignored stays so."""
        ...

    async def unapplied_events(
        self, older_than_seconds: float, limit: int
    ) -> list[ProviderEventRow]:
        """Stored events that nobody has applied, oldest first."""
        ...

    async def told_events(
        self, provider: str, operation_id: str, payment_id: str
    ) -> list[ProviderEventRow]:
        """All stored events of a provider that name an operation or its payment, oldest first."""
        ...

    async def breaker(self, provider: str, operation_class: str, phase: str) -> BreakerRow:
        """A breaker's row, locked; made in this phase where there was none."""
        ...


class Work(Rows, OperationRows, ResourceRows, InboxRows, BatchRows, Protocol):
    """One transaction. Whoever opened it commits it: nothing here does."""


class Store(Protocol):
    """Where transactions come from."""

    def work(self) -> AbstractAsyncContextManager[Work]:
        """Open a transaction. It commits when the block ends without an exception."""
        ...
