"""The webhooks that are still to be sent, kept with the state that they tell of, so that a restart
loses none.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from enum import StrEnum
from typing import Any

from recompense.sandbox.store import Store

_LATE_MS = 5_000
_REORDER_WAIT_MS = 5_000
_REORDER_GAP_MS = 150
_LONGEST_RETRY_SECONDS = 64
_GIVE_UP_AFTER_ATTEMPTS = 4_000


class Mode(StrEnum):
    """How webhooks are sent while the mode is in force; each event keeps the mode that it was made
    under.
    """

    NORMAL = "normal"
    LATE = "late"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DROP = "drop"
    FORGE = "forge"


class Outbox:
    """Events in the order of their due time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        row = store.row("SELECT mode, delay_ms FROM webhook_mode")
        self._mode = Mode.NORMAL if row is None else Mode(row["mode"])
        self._delay_ms: int | None = None if row is None else row["delay_ms"]

    def set_mode(self, mode: Mode, delay_ms: int | None) -> None:
        """Send what is made from now on in this mode."""
        self._mode, self._delay_ms = mode, delay_ms
        self._store.execute(
            "INSERT OR REPLACE INTO webhook_mode (only_row, mode, delay_ms) VALUES (1, ?, ?)",
            mode,
            delay_ms,
        )

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._mode

    def add(self, event_type: str, shown: dict[str, Any]) -> None:
        """Keep an event about an object as it is now, inside the caller's transaction."""
        if self._mode is Mode.DROP:
            return
        event_id = f"ev_{secrets.token_hex(12)}"
        body = {
            "id": event_id,
            "type": event_type,
            "created_at": time.time(),
            "data": {"object": self._told(shown)},
        }
        held, due_at = self._schedule()
        for _ in range(2 if self._mode is Mode.DUPLICATE else 1):
            self._store.insert(
                "events",
                event_id=event_id,
                type=event_type,
                reference=shown["reference"],
                body=json.dumps(body, separators=(",", ":")),
                mode=self._mode,
                held=held,
                due_at=due_at,
            )

    def due(self) -> list[sqlite3.Row]:
        """Everything that should be sent now."""
        return self._store.rows(
            "SELECT * FROM events WHERE due_at <= ? ORDER BY due_at, seq", time.time()
        )

    def next_due(self) -> float | None:
        """When something is to be sent next, as a Unix time."""
        row = self._store.row("SELECT MIN(due_at) AS due_at FROM events WHERE due_at IS NOT NULL")
        return None if row is None else row["due_at"]

    def record(
        self, event: sqlite3.Row, sent_at: float, status_code: int | None, headers: dict[str, str]
    ) -> None:
        """Note a delivery; one that got no 2xx is due again after 1, 2, 4, ... seconds."""
        attempts = event["attempts"] + 1
        accepted = status_code is not None and 200 <= status_code < 300
        pause = min(2 ** min(event["attempts"], 10), _LONGEST_RETRY_SECONDS)
        over = accepted or attempts >= _GIVE_UP_AFTER_ATTEMPTS
        with self._store.transaction():
            self._store.insert(
                "deliveries",
                event_id=event["event_id"],
                type=event["type"],
                reference=event["reference"],
                mode=event["mode"],
                sent_at=sent_at,
                status_code=status_code,
                headers=json.dumps(headers),
                body=event["body"],
            )
            self._store.execute(
                "UPDATE events SET attempts = ?, due_at = ? WHERE seq = ?",
                attempts,
                None if over else time.time() + pause,
                event["seq"],
            )

    def sent(self) -> list[sqlite3.Row]:
        """Every delivery, oldest first."""
        return self._store.rows("SELECT * FROM deliveries ORDER BY seq")

    def _told(self, shown: dict[str, Any]) -> dict[str, Any]:
        # A forger claims another amount, so that a receiver who believes him is seen to have done
        # so.
        return {**shown, "amount": shown["amount"] + 1} if self._mode is Mode.FORGE else shown

    def _schedule(self) -> tuple[int, float]:
        now = time.time()
        if self._mode is not Mode.REORDER:
            default = _LATE_MS if self._mode is Mode.LATE else 0
            return 0, now + (default if self._delay_ms is None else self._delay_ms) / 1000
        overtaken = self._store.row(
            "SELECT seq FROM events WHERE held = 1 AND due_at IS NOT NULL AND attempts = 0"
        )
        if overtaken is None:
            wait = _REORDER_WAIT_MS if self._delay_ms is None else self._delay_ms
            return 1, now + wait / 1000
        self._store.execute(
            "UPDATE events SET held = 0, due_at = ? WHERE seq = ?",
            now + _REORDER_GAP_MS / 1000,
            overtaken["seq"],
        )
        return 0, now
