"""The scripted faults: which misbehaviour meets which call, how often, and how often it did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from recompense.sandbox.store import Store


class Fault(StrEnum):
    """Everything that can be made to go wrong; "before" and "after" mean before and after the
    effect.
    """

    DECLINE = "decline"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate_limited"
    MALFORMED = "malformed"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    SLOW = "slow"
    PENDING = "pending"
    UNKNOWN_STATUS = "unknown_status"


OPERATIONS = (
    "authorize",
    "capture",
    "void",
    "refund",
    "payout",
    "cancel_payout",
    "lookup",
    "report",
    "*",
)


@dataclass(frozen=True)
class ArmedFault:
    """One order to misbehave.

    `times` is -1 for ever; `delay_ms` is None where the fault's default applies.
    """

    seq: int
    operation: str
    fault: Fault
    times: int
    fired: int
    reference: str | None
    delay_ms: int | None

    def as_json(self) -> dict[str, Any]:
        """The form in which the control surface lists it."""
        match = {} if self.reference is None else {"reference": self.reference}
        return {
            "operation": self.operation,
            "fault": self.fault,
            "times": self.times,
            "fired": self.fired,
            "match": match,
        }


class FaultBook:
    """The armed faults, in the order they were armed. They survive a restart, with their counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._armed = [
            ArmedFault(**{**dict(row), "fault": Fault(row["fault"])})
            for row in store.rows("SELECT * FROM faults ORDER BY seq")
        ]

    def arm(
        self, operation: str, fault: Fault, times: int, reference: str | None, delay_ms: int | None
    ) -> ArmedFault:
        """Add a fault behind those that are armed already."""
        seq = self._store.insert(
            "faults",
            operation=operation,
            fault=fault,
            times=times,
            fired=0,
            reference=reference,
            delay_ms=delay_ms,
        )
        armed = ArmedFault(seq, operation, fault, times, 0, reference, delay_ms)
        self._armed.append(armed)
        return armed

    def clear(self) -> None:
        """Forget every fault and its count."""
        self._store.execute("DELETE FROM faults")
        self._armed.clear()

    def listed(self) -> list[ArmedFault]:
        """Every fault that was armed since the last clearing, the used-up ones included."""
        return list(self._armed)

    def take(self, operation: str, reference: str | None) -> ArmedFault | None:
        """Use up one firing of the first fault that matches this call, and count it."""
        for position, armed in enumerate(self._armed):
            if _matches(armed, operation, reference):
                fired = armed.fired + 1
                self._store.execute("UPDATE faults SET fired = ? WHERE seq = ?", fired, armed.seq)
                taken = ArmedFault(**{**vars(armed), "fired": fired})
                self._armed[position] = taken
                return taken
        return None


def _matches(armed: ArmedFault, operation: str, reference: str | None) -> bool:
    if armed.times != -1 and armed.fired >= armed.times:
        return False
    if armed.operation not in ("*", operation):
        return False
    return armed.reference is None or armed.reference == reference
