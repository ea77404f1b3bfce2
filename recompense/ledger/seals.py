"""The chain of seals: what is hashed, and how. Anyone with the rows can compute it again."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

GENESIS = bytes(32)
"""What the first seal has in the place of its predecessor's digest."""

LEAF_SIZE = 8
"""How many bytes of each posting's own hash a seal keeps, to name the one that was changed."""


class SealedTransfer(NamedTuple):
    """A transfer as it stands in the books, whatever stands there."""

    line: int
    debit: str
    credit: str
    amount: int
    currency: str
    phase: str
    resolves_key: str | None
    resolves_line: int | None


@dataclass(frozen=True, slots=True)
class SealedPosting:
    """A posting as it stands in the books: with its number, its transaction and its time."""

    id: int
    key: str
    operation_id: str
    payment_id: str | None
    created: int
    at: datetime
    transfers: tuple[SealedTransfer, ...]

    def digest(self) -> bytes:
        """SHA-256 over one JSON array: ASCII, no spaces, times in UTC to the microsecond."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        head = [self.id, self.key, self.operation_id, self.payment_id, self.created, at]
        content = json.dumps([*head, self.transfers], separators=(",", ":"))
        return hashlib.sha256(content.encode("ascii")).digest()


@dataclass(frozen=True, slots=True)
class Block:
    """Which postings a seal covers: those of the transactions from `starts` to before `through`."""

    number: int
    starts: int
    through: int


@dataclass(frozen=True, slots=True)
class SealContent:
    """What a seal says: the link of the chain, and the first bytes of each posting's own digest, in
    their order.
    """

    digest: bytes
    leaves: bytes

    def first_difference(self, other: "SealContent") -> int | None:
        """The place of the first posting in which two seals of one block differ, from 0."""
        longest = max(len(self.leaves), len(other.leaves))
        for place, start in enumerate(range(0, longest, LEAF_SIZE)):
            leaf = slice(start, start + LEAF_SIZE)
            if self.leaves[leaf] != other.leaves[leaf]:
                return place
        return None


def sealed(previous: bytes, block: Block, postings: Sequence[SealedPosting]) -> SealContent:
    """Seal a block: SHA-256 over the predecessor's digest, the block's range, and each posting's
    digest.

    The postings come in the order of their transactions, and of their numbers within one.
    """
    chain = hashlib.sha256(previous)
    chain.update(f"{block.number} {block.starts} {block.through} {len(postings)}\n".encode("ascii"))
    digests = [posting.digest() for posting in postings]
    for digest in digests:
        chain.update(digest)
    return SealContent(chain.digest(), b"".join(digest[:LEAF_SIZE] for digest in digests))
