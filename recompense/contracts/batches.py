"""A bank rail in our words: payouts that leave together in one file, and the files that come back.

A provider with the capability `batch_payouts` implements `BatchPayouts` beside the port; one whose
truth arrives in files also implements `BankFiles`. Both know files and nothing of our database.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from pydantic import Field

from recompense.contracts.provider import Frozen, Outcome
from recompense.domain.money import Amount, Currency


class BatchItem(Frozen):
    """One payout as it goes into a file: still an effect of its own, under its own key."""

    effect_key: str
    amount: Amount
    currency: Currency
    token: str = Field(repr=False)


class PayoutBatch(Frozen):
    """A closed window: what is in it never changes.

    The file's name and content are a function of this value, so that writing it twice is one file.
    """

    batch_id: str
    effect_key: str
    closed_at: datetime
    items: tuple[BatchItem, ...] = Field(min_length=1)


class BatchReceipt(Frozen):
    """The file has left, once. `sha256` is of what was delivered; `outcomes` are by effect key."""

    file_name: str
    sha256: str
    outcomes: Mapping[str, Outcome]


@runtime_checkable
class BatchPayouts(Protocol):
    """Submits payouts in files. `create_payout` of the same adapter only answers under which
    reference an instruction will stand in its file, or why no file can carry it.
    """

    def batch_reference(self, batch_id: str) -> str:
        """How the bank will name this batch when it speaks of it: unique, and known beforehand."""
        ...

    async def submit_batch(self, batch: PayoutBatch) -> BatchReceipt:
        """Deliver the batch's one file, whatever was tried before: repeating it is safe at any
        time.

        Raises `ProviderUnavailable` or `OutcomeUnknown` where it may be tried again,
        `ProviderAccessDenied`, or `InvariantBroken` for a file that must not leave.
        """
        ...


@runtime_checkable
class DryRuns(Protocol):
    """What of a bank rail can be tried without an effect: nothing is put where the bank takes from.
    Both say what they have seen, without any account number.
    """

    async def try_mailbox(self) -> str:
        """Reach the mailbox and take a file through it. Raises as `submit_batch` does."""
        ...

    def dry_file(self, at: datetime) -> str:
        """Write a file with each destination, in memory. Raises `InvariantBroken`."""
        ...


class NewsKind(StrEnum):
    """What a bank says about an instruction."""

    ACCEPTED = "accepted"
    SETTLED = "settled"
    REJECTED = "rejected"
    BOOKED = "booked"
    RETURNED = "returned"
    UNCLEAR = "unclear"


class BankNews(Frozen):
    """One statement of a bank file about an instruction (`reference`) or a whole batch
    (`batch_reference` alone, with `items` where the bank counts them).

    `amount` is in minor units, and None where the bank does not tell it: it is never derived.
    """

    number: int = Field(ge=1, description="its place in the file")
    kind: NewsKind
    reference: str | None = None
    batch_reference: str | None = None
    amount: int | None = Field(default=None, ge=0)
    currency: Currency | None = None
    items: int | None = Field(default=None, ge=0)
    reason: str | None = Field(default=None, description="the scheme's reason code")
    bank_reference: str | None = None
    booked_on: date | None = None


class BankFile(Frozen):
    """A file that waits to be read."""

    name: str


class BankFileRefused(Exception):
    """The file cannot be read as a whole, or contradicts itself: nothing of it counts.

    `code` is stable: `file_malformed`, `file_encoding`, `file_too_large`, `file_unknown`,
    `file_inconsistent`, `file_amount`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@runtime_checkable
class BankFiles(Protocol):
    """Where a bank leaves its files, and what they say."""

    async def list_bank_files(self) -> tuple[BankFile, ...]:
        """The files that wait, oldest name first. One that may still be growing is not listed."""
        ...

    async def fetch_bank_file(self, name: str) -> bytes:
        """The whole file. Raises `BankFileRefused` for one that is larger than any file."""
        ...

    async def archive_bank_file(self, name: str, sha256: str) -> None:
        """Put a file aside that has been stored. One that is gone already is a success."""
        ...

    def read_bank_file(self, content: bytes) -> tuple[BankNews, ...]:
        """What the file says, all of it. Pure. Raises `BankFileRefused` and nothing else, whatever
        the bytes.
        """
        ...
