"""Domain events and the audit trail, written in the transaction that makes them true."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel
from sqlmodel import SQLModel

from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.saga_tables import AuditRecord
from recompense.persistence.tables import DomainEvent


class Adds(Protocol):
    """A transaction that takes rows."""

    def add(self, row: SQLModel, /) -> None:
        """Insert a row at the next flush."""
        ...


def emit(
    work: Adds,
    event_type: str,
    view: BaseModel | dict[str, Any],
    *,
    merchant_id: str | None,
    payment_id: str | None = None,
) -> None:
    """Add an event that carries the object as it is now."""
    data = view.model_dump(mode="json") if isinstance(view, BaseModel) else view
    work.add(
        DomainEvent(
            id=new_id(IdPrefix.EVENT),
            type=event_type,
            merchant_id=merchant_id,
            payment_id=payment_id,
            data={"object": data},
        )
    )


def audit(
    work: Adds,
    *,
    actor: str,
    action: str,
    target: str,
    reason: str | None = None,
    **details: object,
) -> None:
    """Add who did what to which operation or setting, and why."""
    work.add(AuditRecord(actor=actor, action=action, target=target, reason=reason, details=details))
