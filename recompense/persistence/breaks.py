"""Breaks as people find them and hand them out."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.domain.failures import Refused
from recompense.persistence import outbox
from recompense.persistence.settlement_tables import Break


def require_open(row: Break) -> None:
    """Raises `Refused` when the break is resolved already."""
    if row.status != "open":
        raise Refused("break_not_open", f"Break {row.id} is resolved already.")


async def assign(
    session: AsyncSession, break_id: str, assignee: str | None, *, actor: str
) -> Break | None:
    """Say who looks into an open break; None: nobody in particular. None: there is no such break.

    Raises `Refused`: it is resolved already.
    """
    row = await session.get(Break, break_id, with_for_update=True)
    if row is None:
        return None
    require_open(row)
    row.assignee = assignee
    outbox.audit(session, actor=actor, action="break_assigned", target=row.id, assignee=assignee)
    await session.flush()
    return row


async def listed(
    session: AsyncSession,
    *,
    status: str | None,
    kind: str | None,
    provider: str | None,
    before: str | None,
    limit: int,
    assignee: str | None = None,
) -> list[Break]:
    """One page and one row more, newest first."""
    query = select(Break)
    narrowed = {"status": status, "kind": kind, "provider": provider, "assignee": assignee}
    for name, wanted in narrowed.items():
        if wanted is not None:
            query = query.where(getattr(Break, name) == wanted)
    if before is not None:
        query = query.where(col(Break.id) < before)
    found = await session.exec(query.order_by(col(Break.id).desc()).limit(limit + 1))
    return list(found.all())
