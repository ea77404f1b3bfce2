"""Where files are exchanged with a bank, and how one is delivered exactly once.

Five directories: `staging`, `claims`, `out` (the bank takes from it), `in` (the bank leaves files
there) and `archive`. All of them are on one file system, so that a move is one step.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from recompense.contracts.batches import BankFile, BankFileRefused
from recompense.domain.failures import OutcomeUnknown

DIRECTORIES = ("staging", "claims", "out", "in", "archive")
_UNFINISHED = (".tmp", ".part", ".filepart")


@dataclass(frozen=True)
class Entry:
    """A file in a directory. `changed_at` in seconds since 1970, by the server's clock."""

    name: str
    changed_at: float


class Files(Protocol):
    """What a mailbox asks of a file system, near or far. Paths are `<directory>/<name>`."""

    async def entries(self, directory: str) -> list[Entry]:
        """The plain files of a directory."""
        ...

    async def read(self, path: str, most_bytes: int) -> bytes | None:
        """A file's content, at most one byte more than `most_bytes`. None: it is not there."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Write a whole file and see it on disk."""
        ...

    async def claim(self, source: str, target: str) -> bool:
        """Give a file another name, where nobody has that name. False: somebody has."""
        ...

    async def move(self, source: str, target: str) -> bool:
        """Give a file another name, whoever has it. False: there is no such file."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file. None there is a success."""
        ...


class Mailbox(Protocol):
    """Opens the file system of one bank."""

    def opened(self) -> AbstractAsyncContextManager[Files]:
        """Raises `ProviderUnavailable` where nothing was done, `OutcomeUnknown` where something
        may have been, `ProviderAccessDenied` where the bank refuses us.
        """
        ...


async def deliver(files: Files, name: str, content: bytes, *, draft: str) -> str:
    """Put a file into `out`, once for ever, and return the SHA-256 of what was delivered.

    A draft is staged under a name of its own and then claimed: the first claim wins and names the
    one draft that may go out. Its move to `out` is a single step that can be made once. So a claim
    whose draft is gone was delivered, even when the bank has taken it since; a crash between any
    two steps, and two writers at once, leave one file.
    """
    claim = f"claims/{name}"
    holder = await files.read(claim, 4096)
    if holder is None:
        digest = hashlib.sha256(content).hexdigest()
        await files.write(f"staging/{name}.{draft}", content)
        await files.write(f"staging/{name}.{draft}.claim", f"{draft} {digest}".encode())
        await files.claim(f"staging/{name}.{draft}.claim", claim)
        holder = await files.read(claim, 4096)
    chosen, _, sha256 = (holder or b"").decode(errors="replace").partition(" ")
    if not sha256:
        raise OutcomeUnknown("the claim of a file cannot be read")
    if chosen != draft:
        await files.remove(f"staging/{name}.{draft}")
        await files.remove(f"staging/{name}.{draft}.claim")
    await files.move(f"staging/{name}.{chosen}", f"out/{name}")
    return sha256


async def waiting(files: Files, quiet_seconds: float, now: datetime) -> tuple[BankFile, ...]:
    """The files in `in` that have not changed for a while, by name."""
    before = now.timestamp() - quiet_seconds
    return tuple(
        BankFile(name=entry.name)
        for entry in sorted(await files.entries("in"), key=lambda entry: entry.name)
        if entry.changed_at <= before
        and not entry.name.startswith(".")
        and not entry.name.lower().endswith(_UNFINISHED)
    )


async def fetched(files: Files, path: str, most_bytes: int) -> bytes:
    """A whole file. Raises `BankFileRefused` for one that is too large."""
    content = await files.read(path, most_bytes)
    if content is None:
        raise OutcomeUnknown("a file of the bank is not there any more")
    if len(content) > most_bytes:
        raise BankFileRefused("file_too_large", "The file is larger than any file.")
    return content


async def put_aside(files: Files, name: str, sha256: str, now: datetime) -> None:
    """Move a file from `in` to `archive`, under the moment and its hash: no other has both."""
    moment = now.astimezone(UTC).strftime("%Y-%m-%dT%H%M%S")
    await files.move(f"in/{name}", f"archive/{moment}.{sha256[:16]}.{name}")
