"""Whom a payout's token stands for: what the configuration says, and what a file says now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import structlog

from adapters.sepa.config import Party, SepaConfig, read_tokens

log = structlog.get_logger("recompense.sepa")


class Destinations:
    """The destinations as they are. A file of them is read again when it has changed; while it
    cannot be read, what it said last holds.
    """

    def __init__(self, config: SepaConfig) -> None:
        self._given = config.bank_tokens
        self._path = config.bank_tokens_file
        self._read: Mapping[str, Party] = {}
        self._stamp: tuple[int, int, int] | None = None

    def known(self) -> Mapping[str, Party]:
        """All destinations, by their token."""
        if self._path is not None:
            self._refresh(self._path)
        return {**self._read, **self._given}

    def _refresh(self, path: Path) -> None:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            self._read, self._stamp = read_tokens(path), stamp
        except (OSError, ValueError) as error:
            log.warning("bank tokens are not read", path=str(path), error=type(error).__name__)
