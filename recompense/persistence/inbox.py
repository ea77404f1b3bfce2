"""The inbox of verified webhooks."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.contracts.provider import ProviderEvent
from recompense.persistence.saga_tables import ProviderEventRow


async def store(session: AsyncSession, event: ProviderEvent) -> None:
    """Keep an event under the provider's own id. One that is there already stays as it is."""
    await session.exec(
        insert(ProviderEventRow)
        .values(
            provider=event.provider,
            event_id=event.event_id,
            event_type=event.event_type,
            object_reference=event.object_reference,
            operation_id=event.operation_id,
            effect_key=event.effect_key,
            payload=dict(event.payload),
            status="received",
        )
        .on_conflict_do_nothing()
    )


async def status_of(session: AsyncSession, provider: str, event_id: str) -> str | None:
    """What became of a stored event: `received` while nobody has applied it. None: not stored."""
    row = await session.get(ProviderEventRow, (provider, event_id))
    return None if row is None else row.status
