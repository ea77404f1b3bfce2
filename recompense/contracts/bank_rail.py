"""What the workflows of a bank rail and their activities say to each other."""

from __future__ import annotations

from datetime import datetime

from recompense.contracts.provider import Frozen
from recompense.contracts.sagas import ProviderEventInput


class PayoutWindow(Frozen):
    """Close a provider's window now and send what is in it."""

    provider: str


class CloseWindow(Frozen):
    """Close the window that `closes_at` names: the same moment is the same window, for ever."""

    provider: str
    closes_at: datetime


class ClosedWindow(Frozen):
    """What a window holds. `batch_id` None: nothing waited."""

    batch_id: str | None = None
    items: int = 0
    total: int = 0
    currency: str = ""


class SubmitBatch(Frozen):
    """Deliver a closed window's one file."""

    provider: str
    batch_id: str


class BatchSubmitted(Frozen):
    """The file that was delivered."""

    file_name: str
    sha256: str


class ReadFiles(Frozen):
    """Read what a bank has left."""

    provider: str


class FilesRead(Frozen):
    """What was read: files, the refused ones by name and code, and how much they told.

    `unmatched` counts what speaks of nothing of ours or of a sum that is not a batch's. `events`
    are the first of what was put into the inbox, to be applied at once.
    """

    files: int = 0
    refused: tuple[str, ...] = ()
    told: int = 0
    unmatched: int = 0
    events: tuple[ProviderEventInput, ...] = ()
