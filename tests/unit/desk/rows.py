"""Rows of a saga, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from recompense.desk.rows import Story
from recompense.persistence.saga_tables import Attempt, JournalRow, Operation

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
PAYMENT = "pay_1"
SAGA = f"authorize/{PAYMENT}"


def operation(attempt_state: str, saga_state: str, **changes: object) -> Operation:
    values: dict[str, Any] = {
        "saga_id": SAGA,
        "kind": "authorize",
        "operation_id": PAYMENT,
        "payment_id": PAYMENT,
        "merchant_id": "mer_demo",
        "input": {"kind": "authorize", "capture_method": "automatic"},
        "requested_by": "backend",
        "attempt_state": attempt_state,
        "saga_state": saga_state,
        "since": AT,
        **changes,
    }
    return Operation(**values)


def effect(
    step: str,
    outcome: str | None,
    *,
    sent: bool = True,
    known: dict[str, str] | None = None,
    leg: int = 1,
) -> JournalRow:
    kind = "authorize" if step == "authorize" else "void" if step.endswith(".undo") else "capture"
    if outcome == "approved":
        known = {"kind": outcome, "reference": "au_1"}
    values: dict[str, Any] = {
        "saga_id": SAGA,
        "step": step,
        "attempt": 1,
        "leg": leg,
        "provider": "sandbox",
        "operation_id": PAYMENT,
        "effect_key": f"{PAYMENT}:{step}:1",
        "call": {"operation": kind},
        "call_digest": "",
        "first_sent_at": AT if sent else None,
        "outcome_kind": outcome,
        "outcome": known,
        "final": outcome in {"approved", "declined", "absent"},
    }
    return JournalRow(**values)


def story(operation: Operation, *journal: JournalRow, **attempt: object) -> Story:
    values: dict[str, Any] = {
        "saga_id": SAGA,
        "number": 1,
        "opened_by_run": "run-1",
        "decision": {},
        **attempt,
    }
    return Story(
        operation=operation,
        runs=[],
        attempts=[Attempt(**values)],
        journal=journal,
        audit=[],
        orphans=[],
    )
