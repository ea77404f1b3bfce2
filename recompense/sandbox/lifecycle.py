"""The life of the vendor's objects: born with a fate, true at once or later, told by webhook when
it was later.

An effect is written to the effects log in the moment in which money moves, and in no other.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from recompense.sandbox.options import Options
from recompense.sandbox.outbox import Outbox
from recompense.sandbox.rendering import rendered
from recompense.sandbox.store import Store
from recompense.sandbox.tokens import RETURNED_TOKEN, Fate, Turn


@dataclass(frozen=True)
class Kind:
    """One kind of object: its id's prefix, the operation in the effects log, and its status once it
    is true.
    """

    type: str
    prefix: str
    operation: str
    true_status: str


AUTHORIZATION = Kind("authorization", "au", "authorize", "authorized")
CAPTURE = Kind("capture", "ct", "capture", "succeeded")
VOID = Kind("void", "vd", "void", "succeeded")
REFUND = Kind("refund", "rf", "refund", "succeeded")
PAYOUT = Kind("payout", "pt", "payout", "in_transit")
CANCELLATION = Kind("payout_cancellation", "cn", "cancel_payout", "succeeded")
KINDS = {kind.type: kind for kind in (AUTHORIZATION, CAPTURE, VOID, REFUND, PAYOUT, CANCELLATION)}


@dataclass(frozen=True)
class Birth:
    """What a new object is made from."""

    reference: str
    effect_key: str
    amount: int
    currency: str
    token: str | None = None
    parent: str | None = None


class Lifecycle:
    """Moves objects along. Every method runs inside the caller's transaction."""

    def __init__(self, store: Store, options: Options, outbox: Outbox) -> None:
        self._store = store
        self._options = options
        self._outbox = outbox

    def get(self, object_id: str) -> sqlite3.Row | None:
        """Read one object."""
        return self._store.row("SELECT * FROM objects WHERE id = ?", object_id)

    def give_birth(self, kind: Kind, birth: Birth, fate: Fate) -> sqlite3.Row:
        """Make an object and let its fate begin."""
        object_id = f"{kind.prefix}_{secrets.token_hex(12)}"
        now = time.time()
        delay_ms = self._options.pending_delay_ms if fate.delay_ms is None else fate.delay_ms
        self._store.insert(
            "objects",
            id=object_id,
            type=kind.type,
            status=fate.turn,
            decline_code=fate.decline_code,
            created_at=now,
            due_at=now + delay_ms / 1000 if fate.turn is Turn.PENDING else None,
            **vars(birth),
        )
        if fate.turn is Turn.TRUE:
            self._come_true(self._read(object_id))
        made = self._read(object_id)
        if self._options.announce == "all":
            self._announce(made)
        return made

    def ripen(self) -> None:
        """Let everything come true whose time has come."""
        now = time.time()
        due = "SELECT * FROM objects WHERE due_at <= ? ORDER BY due_at"
        for row in self._store.rows(due, now):
            if row["status"] == Turn.PENDING:
                self._come_true(row)
            else:
                self._settle_payout(row)
            self._announce(self._read(row["id"]))

    def next_due(self) -> float | None:
        """When something ripens next, as a Unix time."""
        row = self._store.row("SELECT MIN(due_at) AS due_at FROM objects WHERE due_at IS NOT NULL")
        return None if row is None else row["due_at"]

    def finish_action(self, row: sqlite3.Row, *, succeeded: bool) -> sqlite3.Row:
        """Let the payer's authentication succeed or fail."""
        if succeeded:
            self._come_true(row)
        else:
            self._update(row["id"], status=Turn.DECLINED, decline_code="authentication_failed")
        made = self._read(row["id"])
        self._announce(made)
        return made

    def close(self, authorization_id: str) -> None:
        """Release what is left of an authorization: nothing more can be captured."""
        self._update(authorization_id, closed=1)

    def _come_true(self, row: sqlite3.Row) -> None:
        kind = KINDS[row["type"]]
        taking_back_nothing = kind in (VOID, CANCELLATION) and (
            self._read(row["parent"])["status"] in (Turn.PENDING, Turn.REQUIRES_ACTION)
        )
        if kind is CANCELLATION and not self._take_payout_back(row["parent"]):
            self._update(
                row["id"], status=Turn.DECLINED, decline_code="cancellation_declined", due_at=None
            )
            return
        due_at = time.time() + self._options.payout_delay_ms / 1000 if kind is PAYOUT else None
        self._update(row["id"], status=kind.true_status, due_at=due_at)
        if not taking_back_nothing:
            self._log_effect(kind, row)
        if kind in (CAPTURE, VOID):
            self._follow_children(row["parent"])

    def _log_effect(self, kind: Kind, row: sqlite3.Row) -> None:
        self._store.insert(
            "effects",
            operation=kind.operation,
            reference=row["reference"],
            effect_key=row["effect_key"],
            amount=row["amount"],
            currency=row["currency"],
            at=time.time(),
            object_id=row["id"],
        )

    def _follow_children(self, authorization_id: str) -> None:
        query = (
            "SELECT type, SUM(amount) AS amount FROM objects "
            "WHERE parent = ? AND status = 'succeeded' GROUP BY type"
        )
        sums = {row["type"]: row["amount"] for row in self._store.rows(query, authorization_id)}
        authorization = self._read(authorization_id)
        captured = sums.get("capture", 0)
        if captured and (authorization["closed"] or captured == authorization["amount"]):
            self._update(authorization_id, status="captured")
        elif not captured and "void" in sums:
            was_made = authorization["status"] == AUTHORIZATION.true_status
            status = "voided" if was_made else "abandoned"
            self._update(authorization_id, status=status, due_at=None)

    def _take_payout_back(self, payout_id: str) -> bool:
        payout = self._read(payout_id)
        if payout["status"] not in (Turn.PENDING, PAYOUT.true_status):
            return False
        status = "canceled" if payout["status"] == PAYOUT.true_status else "abandoned"
        self._update(payout_id, status=status, due_at=None)
        return True

    def _settle_payout(self, row: sqlite3.Row) -> None:
        if row["status"] == PAYOUT.true_status:
            comes_back = row["token"] == RETURNED_TOKEN
            due_at = time.time() + self._options.return_delay_ms / 1000 if comes_back else None
            self._update(row["id"], status="paid", due_at=due_at)
        else:
            self._update(row["id"], status="returned", due_at=None)

    def _announce(self, row: sqlite3.Row) -> None:
        self._outbox.add(f"{row['type']}.{row['status']}", rendered(row, self._options))

    def _read(self, object_id: str) -> sqlite3.Row:
        row = self.get(object_id)
        if row is None:
            raise LookupError(object_id)
        return row

    def _update(self, object_id: str, **columns: Any) -> None:  # noqa: ANN401 - SQLite's own types
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._store.execute(
            f"UPDATE objects SET {assignments} WHERE id = ?",  # noqa: S608 - no outside text
            *columns.values(),
            object_id,
        )
