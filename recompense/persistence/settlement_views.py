"""Reconciliations and breaks as callers see them."""

from __future__ import annotations

from typing import Any, Literal, cast

from recompense.contracts.reconciliation import (
    BreakAction,
    BreakKind,
    BreakResolution,
    BreakView,
    Figures,
    ReconciliationFailure,
    ReconciliationStatus,
    ReconciliationView,
)
from recompense.persistence.settlement_tables import Break, Reconciliation


def reconciliation_view(row: Reconciliation) -> ReconciliationView:
    """A reconciliation."""
    failure = row.failure
    return ReconciliationView(
        id=row.id,
        provider=row.provider,
        date=row.report_date,
        status=ReconciliationStatus(row.status),
        lines=row.lines,
        matched=row.matched,
        breaks=row.breaks,
        report_hash=row.report_hash,
        failure=None if failure is None else ReconciliationFailure.model_validate(failure),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def break_view(row: Break) -> BreakView:
    """A break."""
    return BreakView(
        id=row.id,
        kind=BreakKind(row.kind),
        status=cast("Literal['open', 'resolved']", row.status),
        provider=row.provider,
        date=row.report_date,
        operation_id=row.operation_id,
        payment_id=row.payment_id,
        currency=row.currency,
        expected=_figures(row.expected),
        found=_figures(row.found),
        proposal=BreakAction(row.proposal),
        assignee=row.assignee,
        created_at=row.created_at,
        resolution=_resolution(row),
    )


def _figures(figures: dict[str, Any] | None) -> Figures | None:
    return None if figures is None else Figures.model_validate(figures)


def _resolution(row: Break) -> BreakResolution | None:
    if row.resolution is None or row.resolved_at is None:
        return None
    return BreakResolution.model_validate({**row.resolution, "at": row.resolved_at})
