"""The ledger's model with transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recompense.ledger.book import Book, Totals
from recompense.ledger.postings import OpenHold, Posting, TransferRef


@dataclass(frozen=True)
class Mark:
    """A state of the book to go back to."""

    postings: dict[str, Posting]
    totals: dict[tuple[str, str], Totals]
    holds: dict[TransferRef, OpenHold]


class SimulatedBook(Book):
    """A `Book` that can go back, and that shows its postings."""

    @property
    def postings(self) -> Mapping[str, Posting]:
        """All postings by their keys."""
        return self._postings

    @property
    def holds(self) -> Mapping[TransferRef, OpenHold]:
        """All holds, used up or not."""
        return self._holds

    def mark(self) -> Mark:
        """Remember this state."""
        return Mark(self._postings.copy(), self._totals.copy(), self._holds.copy())

    def back_to(self, mark: Mark) -> None:
        """Go back to a remembered state."""
        self._postings = mark.postings.copy()
        self._totals.clear()
        self._totals.update(mark.totals)
        self._holds = mark.holds.copy()
