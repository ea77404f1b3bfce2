"""A mailbox in a folder of this machine, which somebody else carries to the bank."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from adapters.sepa.mailbox import DIRECTORIES, Entry, Files
from recompense.domain.failures import OutcomeUnknown, ProviderUnavailable

_Result = TypeVar("_Result")


class FolderMailbox:
    """Implements `Mailbox`. Missing directories are made."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Files]:
        """Open the folder."""
        try:
            await asyncio.to_thread(self._make_directories)
        except OSError as error:
            raise ProviderUnavailable("the folder cannot be opened") from error
        yield _FolderFiles(self._root)

    def _make_directories(self) -> None:
        for directory in DIRECTORIES:
            (self._root / directory).mkdir(parents=True, exist_ok=True)


class _FolderFiles:
    """Implements `Files`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def entries(self, directory: str) -> list[Entry]:
        return await _done(lambda: _entries(self._root / directory))

    async def read(self, path: str, most_bytes: int) -> bytes | None:
        return await _done(lambda: _read(self._root / path, most_bytes))

    async def write(self, path: str, content: bytes) -> None:
        await _done(lambda: _write(self._root / path, content))

    async def claim(self, source: str, target: str) -> bool:
        return await _done(lambda: _claim(self._root / source, self._root / target))

    async def move(self, source: str, target: str) -> bool:
        return await _done(lambda: _move(self._root / source, self._root / target))

    async def remove(self, path: str) -> None:
        await _done(lambda: (self._root / path).unlink(missing_ok=True))


async def _done(work: Callable[[], _Result]) -> _Result:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise OutcomeUnknown(f"the folder failed: {type(error).__name__}") from error


def _entries(directory: Path) -> list[Entry]:
    with os.scandir(directory) as found:
        return [
            Entry(entry.name, entry.stat().st_mtime)
            for entry in found
            if entry.is_file(follow_symlinks=False)
        ]


def _read(path: Path, most_bytes: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes + 1)
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(path.parent)


def _claim(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    source.unlink(missing_ok=True)
    _sync_directory(target.parent)
    return True


def _move(source: Path, target: Path) -> bool:
    try:
        source.replace(target)
    except FileNotFoundError:
        return False
    _sync_directory(target.parent)
    return True


def _sync_directory(directory: Path) -> None:
    """A name is on disk when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
