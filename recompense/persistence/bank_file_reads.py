"""The files of bank rails as people read them: what was sent, what came, and what both told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

_FILES = """
WITH files AS (
    SELECT id, provider, 'out' AS direction, file_name AS name, status, NULL AS detail, items,
        total, currency, reference, sha256, coalesce(sent_at, closed_at) AS at
    FROM payout_batches
    UNION ALL
    SELECT sha256, provider, 'in', name, status, detail, NULL, NULL, NULL, NULL, sha256, received_at
    FROM bank_files
)
SELECT * FROM files
"""
_LISTED = text(f"""{_FILES}
WHERE (CAST(:provider AS text) IS NULL OR provider = :provider)
    AND (CAST(:status AS text) IS NULL OR status = :status)
ORDER BY at DESC, id LIMIT :limit
""")
_NAMED = text(f"""{_FILES}
WHERE :id IN (id, reference, name) OR (direction = 'in' AND starts_with(id, lower(:id)))
ORDER BY at DESC, id LIMIT :limit
""")
_PAYOUTS = text("""
SELECT items.operation_id AS payout_id, items.reference, items.amount, items.currency,
    payouts.status
FROM payout_batch_items items LEFT JOIN payouts ON payouts.id = items.operation_id
WHERE items.batch_id = :id ORDER BY items.position LIMIT :limit
""")
_TOLD = text("""
SELECT operation_id AS payout_id, event_type AS type, status FROM provider_events
WHERE provider = :provider AND starts_with(event_id, :prefix) ORDER BY event_id LIMIT :limit
""")
_PREFIX_OF_EVENTS = 32


@dataclass(frozen=True, slots=True)
class BankFileLine:
    """One file. `out`: a batch, its `id`, and once it is sent its name and hash; `in`: a file of
    the bank, its `id` the SHA-256 of its bytes. `total` in minor units.
    """

    id: str
    provider: str
    direction: Literal["out", "in"]
    name: str | None
    status: str
    detail: str | None
    items: int | None
    total: int | None
    currency: str | None
    reference: str | None
    sha256: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SentPayout:
    """A payout in a batch, as the bank knows it and as it stands here."""

    payout_id: str
    reference: str
    amount: int
    currency: str
    status: str | None


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """What a bank's file told of a payout, and whether that was applied."""

    payout_id: str
    type: str
    status: str


async def listed(
    session: AsyncSession, *, provider: str | None, status: str | None, limit: int
) -> list[BankFileLine]:
    """The newest files of both directions."""
    values = {"provider": provider, "status": status, "limit": limit}
    rows = await (await session.connection()).execute(_LISTED, values)
    return [BankFileLine(**row) for row in rows.mappings()]


async def named(session: AsyncSession, name: str, *, limit: int) -> list[BankFileLine]:
    """The files that a batch id, a message id, a file name, a hash or its beginning means."""
    rows = await (await session.connection()).execute(_NAMED, {"id": name, "limit": limit})
    return [BankFileLine(**row) for row in rows.mappings()]


async def payouts_in(session: AsyncSession, batch_id: str, *, limit: int) -> list[SentPayout]:
    """The payouts of a batch, in its file's order."""
    rows = await (await session.connection()).execute(_PAYOUTS, {"id": batch_id, "limit": limit})
    return [SentPayout(**row) for row in rows.mappings()]


async def told_by(session: AsyncSession, file: BankFileLine, *, limit: int) -> list[ToldEvent]:
    """The events that a bank's file became."""
    prefix = f"{file.id[:_PREFIX_OF_EVENTS]}."
    values = {"provider": file.provider, "prefix": prefix, "limit": limit}
    rows = await (await session.connection()).execute(_TOLD, values)
    return [ToldEvent(**row) for row in rows.mappings()]
