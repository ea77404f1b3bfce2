"""Seals committed postings into a chain, and takes snapshots of balances, off the hot path.

A block is a range of transaction ids. It ends before the oldest transaction that is still open, so
all of its postings are committed, none can join it later, and the blocks leave no gap, whatever
order transactions end in.

Transaction ids are those of one cluster. A physical copy (replica, base backup, point-in-time
recovery) keeps them; after a restore from a dump into a new cluster they start low again, and
`pg_resetwal --next-transaction-id` has to lift them above the ledger's highest `created`. Until
then the sealer refuses to go on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from recompense.domain.failures import InvariantBroken
from recompense.ledger.seals import GENESIS, Block, SealedPosting, SealedTransfer, sealed

SEALER_LOCK = 7_251_002
BLOCK_SIZE = 2_000
"""How many postings a block holds at most; the postings of one transaction are never parted."""
SNAPSHOT_EVERY = 5_000
"""After how many sealed postings snapshots are taken: about so many entries a balance sums."""
SNAPSHOT_MOST = 50_000
"""How many postings one round of snapshots takes in at most, unless a single seal holds more."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal that was made. `more` tells that committed postings are waiting for the next one."""

    number: int
    postings: int
    digest: bytes
    more: bool


_HORIZON = text("""
SELECT now() AS observed_at,
       CAST(CAST(pg_snapshot_xmin(s) AS text) AS bigint) AS oldest_open,
       CAST(CAST(pg_snapshot_xmax(s) AS text) AS bigint) AS next_created,
       last.number, last.through, last.last_at, last.digest
FROM pg_current_snapshot() AS s
LEFT JOIN (
    SELECT number, CAST(CAST(through AS text) AS bigint) AS through, last_at, digest
    FROM ledger_seals ORDER BY number DESC LIMIT 1
) AS last ON true
""")

_WAITING = text("""
SELECT count(*) AS postings, CAST(CAST(min(created) AS text) AS bigint) AS oldest,
       CAST(CAST(max(created) AS text) AS bigint) AS newest
FROM (
    SELECT created FROM ledger_postings
    WHERE created >= CAST(:starts AS xid8) AND created < CAST(:oldest_open AS xid8)
    ORDER BY created LIMIT :size + 1
) AS waiting
""")

_BLOCK_ROWS = text("""
SELECT p.id, p.posting_key, p.operation_id, p.payment_id, p.at,
       CAST(CAST(p.created AS text) AS bigint) AS created,
       t.line, t.debit, t.credit, t.amount, t.currency, t.phase, t.resolves_key, t.resolves_line
FROM ledger_postings p JOIN ledger_transfers t ON t.posting_id = p.id
WHERE p.created >= CAST(:starts AS xid8) AND p.created < CAST(:through AS xid8)
ORDER BY p.created, p.id, t.line
""")

_INSERT_SEAL = text("""
INSERT INTO ledger_seals (number, starts, through, postings, last_at, previous, digest,
                          leaves, next_created, observed_at)
VALUES (:number, CAST(:starts AS xid8), CAST(:through AS xid8), :postings, :last_at, :previous,
        :digest, :leaves, pg_current_xact_id(), :observed_at)
""")

_SINCE = """
SELECT coalesce((SELECT through FROM ledger_snapshots ORDER BY through DESC LIMIT 1),
                CAST('0' AS xid8)) AS through
"""

_UNSNAPSHOT = text(f"""
SELECT coalesce(sum(postings), 0) AS postings FROM ledger_seals WHERE through > ({_SINCE})
""")  # noqa: S608 - constants

# The count has all of it read before the first row is written. Read one by one, each look-up would
# pass by what this very statement has written, as long as statistics call the table empty: the cost
# would be the square of the accounts.
_SNAPSHOT = text(f"""
WITH since AS ({_SINCE}),
seal AS (
    SELECT through, last_at FROM (
        SELECT number, through, last_at, sum(postings) OVER (ORDER BY number) AS postings,
               row_number() OVER (ORDER BY number) AS place
        FROM ledger_seals WHERE through > (SELECT through FROM since)
    ) AS waiting
    WHERE postings <= :most OR place = 1
    ORDER BY number DESC LIMIT 1
),
moved AS (
    SELECT e.account, e.currency,
           sum(posted) FILTER (WHERE direction = 'debit') AS debits_posted,
           sum(posted) FILTER (WHERE direction = 'credit') AS credits_posted,
           sum(pending) FILTER (WHERE direction = 'debit') AS debits_pending,
           sum(pending) FILTER (WHERE direction = 'credit') AS credits_pending
    FROM ledger_postings p JOIN ledger_entries e ON e.posting_id = p.id
    WHERE p.created < (SELECT through FROM seal)
      AND p.created >= (SELECT through FROM since)
    GROUP BY e.account, e.currency
),
totals AS MATERIALIZED (
    SELECT moved.account, moved.currency, seal.through, seal.last_at,
           coalesce(moved.debits_posted, 0) + coalesce(last.debits_posted, 0),
           coalesce(moved.credits_posted, 0) + coalesce(last.credits_posted, 0),
           coalesce(moved.debits_pending, 0) + coalesce(last.debits_pending, 0),
           coalesce(moved.credits_pending, 0) + coalesce(last.credits_pending, 0)
    FROM seal CROSS JOIN moved LEFT JOIN LATERAL (
        SELECT * FROM ledger_snapshots s
        WHERE s.account = moved.account AND s.currency = moved.currency
        ORDER BY s.through DESC LIMIT 1
    ) AS last ON true
)
INSERT INTO ledger_snapshots (account, currency, through, last_at, debits_posted, credits_posted,
                              debits_pending, credits_pending)
SELECT * FROM totals WHERE (SELECT count(*) FROM totals) > 0
""")  # noqa: S608 - constants


async def seal_once(connection: AsyncConnection, *, block_size: int = BLOCK_SIZE) -> Seal | None:
    """Seal the next block, in the caller's READ COMMITTED transaction.

    None when there is nothing to seal, or another process is sealing: only one does at a time.

    Raises:
        InvariantBroken: the chain ends above the cluster's transaction ids, as after a restore from
        a dump.
    """
    locked = text(f"SELECT pg_try_advisory_xact_lock({SEALER_LOCK})")
    if not (await connection.execute(locked)).scalar_one():
        return None
    horizon = (await connection.execute(_HORIZON)).one()
    starts = horizon.through or 0
    if starts > horizon.next_created:
        raise InvariantBroken(
            f"the seals end at transaction {starts}, the cluster is at {horizon.next_created}:"
            " lift its transaction ids above the ledger's"
        )
    through = await _end_of_block(connection, starts, horizon.oldest_open, block_size)
    if through is None:
        return None
    block = Block((horizon.number or 0) + 1, starts, through)
    postings = await read_block(connection, block)
    digest = await _write_seal(connection, block, postings, horizon)
    return Seal(block.number, len(postings), digest, more=through < horizon.oldest_open)


async def snapshot_once(
    connection: AsyncConnection, *, every: int = SNAPSHOT_EVERY, most: int = SNAPSHOT_MOST
) -> int:
    """Take snapshots of all accounts that have moved, when `every` postings were sealed since the
    last ones: as of the end of the newest seal up to which no more than `most` are.

    Returns how many were taken; where it took any, more may be due. Call it after `seal_once`, in a
    transaction of its own.
    """
    locked = text(f"SELECT pg_try_advisory_xact_lock({SEALER_LOCK})")
    if not (await connection.execute(locked)).scalar_one():
        return 0
    waiting = (await connection.execute(_UNSNAPSHOT)).scalar_one()
    if waiting == 0 or waiting < every:
        return 0
    return (await connection.execute(_SNAPSHOT, {"most": most})).rowcount


async def read_block(connection: AsyncConnection, block: Block) -> list[SealedPosting]:
    """The postings that a block covers, in the order in which they are hashed."""
    bounds = {"starts": str(block.starts), "through": str(block.through)}
    rows = (await connection.execute(_BLOCK_ROWS, bounds)).all()
    return [_posting(list(lines)) for _, lines in groupby(rows, key=lambda row: row.id)]


async def _end_of_block(
    connection: AsyncConnection, starts: int, oldest_open: int, size: int
) -> int | None:
    """Where the next block ends, None when it would be empty. It never parts a transaction."""
    bounds = {"starts": str(starts), "oldest_open": str(oldest_open), "size": size}
    waiting = (await connection.execute(_WAITING, bounds)).one()
    if waiting.postings <= size:
        return oldest_open if waiting.postings else None
    return max(int(waiting.newest), int(waiting.oldest) + 1)


async def _write_seal(
    connection: AsyncConnection, block: Block, postings: list[SealedPosting], horizon: Row[Any]
) -> bytes:
    previous = bytes(horizon.digest) if horizon.digest else GENESIS
    content = sealed(previous, block, postings)
    seal = {
        "number": block.number,
        "starts": str(block.starts),
        "through": str(block.through),
        "postings": len(postings),
        "last_at": _latest(horizon.last_at, (posting.at for posting in postings)),
        "previous": previous,
        "digest": content.digest,
        "leaves": content.leaves,
        "observed_at": horizon.observed_at,
    }
    await connection.execute(_INSERT_SEAL, seal)
    return content.digest


def _latest(before: datetime | None, times: Iterable[datetime]) -> datetime:
    latest = max(times)
    return max(before, latest) if before else latest


def _posting(rows: list[Row[Any]]) -> SealedPosting:
    head = rows[0]
    return SealedPosting(
        head.id,
        head.posting_key,
        head.operation_id,
        head.payment_id,
        head.created,
        head.at,
        tuple(
            SealedTransfer(*(getattr(row, name) for name in SealedTransfer._fields)) for row in rows
        ),
    )
