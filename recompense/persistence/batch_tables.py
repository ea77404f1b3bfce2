"""The tables of a bank rail: instructions that wait for a window, the batches they leave in, and
the files that came back.
"""

from datetime import datetime

from sqlalchemy import Column, LargeBinary
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import bigint, moment, optional_moment

__all__ = ["BankFileRow", "PayoutBatchItem", "PayoutBatchRow"]


class PayoutBatchRow(SQLModel, table=True):
    """A closed window: the intent to send one file, written before the file is.

    `reference` is how the bank names it. It moves from `closed` to `sent` once; `total` is in minor
    units.
    """

    __tablename__ = "payout_batches"

    id: str = Field(primary_key=True)
    provider: str
    effect_key: str
    reference: str
    items: int
    total: int = Field(sa_column=bigint())
    currency: str
    status: str = "closed"
    file_name: str | None = None
    sha256: str | None = None
    closed_at: datetime = Field(sa_column=moment(), default=None)
    sent_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class PayoutBatchItem(SQLModel, table=True):
    """One payout's instruction, unique on its effect key and on its reference at the bank.

    `collected`, then for good either `withdrawn` (before its window closed) or `batched`.
    """

    __tablename__ = "payout_batch_items"

    effect_key: str = Field(primary_key=True)
    provider: str
    operation_id: str
    reference: str
    amount: int = Field(sa_column=bigint())
    currency: str
    token: str
    status: str = "collected"
    withdrawn_by: str | None = None
    batch_id: str | None = Field(default=None, foreign_key="payout_batches.id")
    position: int | None = None
    collected_at: datetime = Field(sa_column=moment(), default=None)


class BankFileRow(SQLModel, table=True):
    """A file as the bank wrote it, kept once, with what reading it came to. Append-only."""

    __tablename__ = "bank_files"

    provider: str = Field(primary_key=True)
    sha256: str = Field(primary_key=True)
    name: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: str
    detail: str
    received_at: datetime = Field(sa_column=moment(), default=None)
