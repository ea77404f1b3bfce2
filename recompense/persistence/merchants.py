"""Merchants: made once, read often."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.domain.terms import Availability, FeeSchedule, PayoutTerms, RoutingTerms
from recompense.persistence.outbox import audit
from recompense.persistence.tables import Merchant


async def create(
    session: AsyncSession,
    *,
    merchant_id: str,
    name: str,
    country: str,
    payout: PayoutTerms,
    fees: FeeSchedule,
    availability: Availability,
    routing: RoutingTerms,
    actor: str,
) -> Merchant | None:
    """Make a merchant and say in the audit trail who did. None: the id is taken."""
    inserted = await session.exec(
        insert(Merchant)
        .values(
            id=merchant_id,
            name=name,
            country=country,
            payout=payout.model_dump(mode="json"),
            fees=fees.model_dump(mode="json"),
            availability_rule=availability.rule,
            availability_days=availability.days,
            routing=routing.model_dump(mode="json"),
            created_by=actor,
        )
        .on_conflict_do_nothing()
        .returning(Merchant)
    )
    merchant = inserted.scalar_one_or_none()
    if merchant is not None:
        audit(session, actor=actor, action="merchant_create", target=merchant_id)
    return merchant


async def find(session: AsyncSession, merchant_id: str) -> Merchant | None:
    """A merchant by its id."""
    return await session.get(Merchant, merchant_id)
