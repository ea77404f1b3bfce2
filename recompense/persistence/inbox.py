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
