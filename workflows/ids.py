"""Workflow ids, in one place: made from the business key by a pure function."""

from __future__ import annotations

from recompense.contracts.sagas import ProviderEventInput


def event_workflow_id(event: ProviderEventInput) -> str:
    """The id under which a stored webhook is applied: a duplicate delivery finds the same one."""
    return f"provider-event/{event.provider}/{event.event_id}"
