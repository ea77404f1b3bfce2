"""The vendor's rules: what may be authorized, captured, voided, refunded and paid out, and how
effect keys are honoured.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from recompense.sandbox.faults import ArmedFault
from recompense.sandbox.lifecycle import (
    AUTHORIZATION,
    CANCELLATION,
    CAPTURE,
    KINDS,
    PAYOUT,
    REFUND,
    VOID,
    Birth,
    Kind,
    Lifecycle,
)
from recompense.sandbox.options import Options
from recompense.sandbox.store import Store
from recompense.sandbox.tokens import Turn, fate_of


class Refusal(Exception):
    """The request breaks a rule; no effect was made. `code` is stable."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Call:
    """One money call as it arrived. `fingerprint` is of the path and the body."""

    reference: str
    effect_key: str
    fingerprint: str
    fault: ArmedFault | None


@dataclass(frozen=True)
class Made:
    """The object that a money call is answered with.

    `fresh` is False when its effect key was known already.
    """

    row: sqlite3.Row
    fresh: bool


class Processor:
    """Each call is one transaction: the object, its effect, its key, its event, or nothing."""

    def __init__(self, store: Store, options: Options, lifecycle: Lifecycle) -> None:
        self._store = store
        self._options = options
        self._lifecycle = lifecycle

    def authorize(self, call: Call, *, amount: int, currency: str, token: str) -> Made:
        """Authorize a card."""
        return self._once(
            call, lambda: self._born(AUTHORIZATION, call, amount, currency, token=token)
        )

    def capture(
        self, call: Call, authorization_id: str, *, amount: int, currency: str, final: bool
    ) -> Made:
        """Capture a part of what is left; `final` releases the rest."""

        def make() -> sqlite3.Row:
            authorization = self._capturable(authorization_id, currency)
            left = self._left(authorization)
            if left == 0:
                raise Refusal(409, "already_captured", "Nothing is left to capture.")
            if amount > left:
                raise Refusal(409, "amount_exceeds_authorized", f"Only {left} is left to capture.")
            made = self._born(CAPTURE, call, amount, currency, parent=authorization_id)
            if final and made["status"] != Turn.DECLINED:
                self._lifecycle.close(authorization_id)
            return made

        return self._once(call, make)

    def void(self, call: Call, authorization_id: str) -> Made:
        """Release all that is left."""

        def make() -> sqlite3.Row:
            authorization = self._authorization(authorization_id)
            if authorization["status"] in ("voided", "abandoned"):
                raise Refusal(409, "already_voided", "The authorization is voided.")
            left = self._left(authorization)
            if authorization["closed"] or left == 0 or authorization["status"] not in _OPEN_TO_VOID:
                raise Refusal(409, "not_voidable", "Nothing is left to void.")
            made = self._born(VOID, call, left, authorization["currency"], parent=authorization_id)
            if made["status"] != Turn.DECLINED:
                self._lifecycle.close(authorization_id)
            return made

        return self._once(call, make)

    def refund(self, call: Call, target_id: str, *, amount: int, currency: str) -> Made:
        """Refund a part of a capture, or of all captures of an authorization."""

        def make() -> sqlite3.Row:
            refundable = self._refundable(target_id, currency)
            if refundable == 0:
                raise Refusal(409, "already_refunded", "Nothing is left to refund.")
            if amount > refundable:
                raise Refusal(409, "amount_exceeds_captured", f"Only {refundable} can be refunded.")
            return self._born(REFUND, call, amount, currency, parent=target_id)

        return self._once(call, make)

    def pay_out(self, call: Call, *, amount: int, currency: str, token: str) -> Made:
        """Send money to a bank account."""
        return self._once(call, lambda: self._born(PAYOUT, call, amount, currency, token=token))

    def cancel_payout(self, call: Call, payout_id: str) -> Made:
        """Take a payout back that is not paid yet."""

        def make() -> sqlite3.Row:
            payout = self._object(payout_id, PAYOUT)
            if payout["status"] in ("canceled", "abandoned"):
                raise Refusal(409, "already_canceled", "The payout is cancelled.")
            if payout["status"] not in (Turn.PENDING, PAYOUT.true_status):
                raise Refusal(409, "not_cancelable", f"The payout is {payout['status']}.")
            return self._born(
                CANCELLATION, call, payout["amount"], payout["currency"], parent=payout_id
            )

        return self._once(call, make)

    def finish_action(self, authorization_id: str, *, succeeded: bool) -> sqlite3.Row:
        """Complete the payer's authentication; once is enough."""
        with self._store.transaction():
            authorization = self._object(authorization_id, AUTHORIZATION)
            if authorization["status"] != Turn.REQUIRES_ACTION:
                raise Refusal(
                    409, "no_action_required", f"The authorization is {authorization['status']}."
                )
            return self._lifecycle.finish_action(authorization, succeeded=succeeded)

    def find(self, reference: str, effect_key: str) -> list[sqlite3.Row]:
        """Every object that was made under this reference and key, the newest first."""
        self._ripen()
        query = (
            "SELECT * FROM objects WHERE effect_key = ? AND reference = ? ORDER BY created_at DESC"
        )
        return self._store.rows(query, effect_key, reference)

    def get(self, object_id: str) -> sqlite3.Row | None:
        """One object as it is now, whatever its kind; None when there is none."""
        self._ripen()
        return self._lifecycle.get(object_id)

    def _ripen(self) -> None:
        with self._store.transaction():
            self._lifecycle.ripen()

    def _once(self, call: Call, make: Callable[[], sqlite3.Row]) -> Made:
        with self._store.transaction():
            self._lifecycle.ripen()
            known = self._remembered(call)
            return Made(known, False) if known is not None else Made(self._made(call, make), True)

    def _made(self, call: Call, make: Callable[[], sqlite3.Row]) -> sqlite3.Row:
        made = make()
        self._store.execute(
            "INSERT OR REPLACE INTO keys (effect_key, fingerprint, object_id, at) "
            "VALUES (?, ?, ?, ?)",
            call.effect_key,
            call.fingerprint,
            made["id"],
            time.time(),
        )
        return made

    def _remembered(self, call: Call) -> sqlite3.Row | None:
        oldest = time.time() - self._options.idempotency_window_seconds
        known = self._store.row(
            "SELECT fingerprint, object_id FROM keys WHERE effect_key = ? AND at > ?",
            call.effect_key,
            oldest,
        )
        if known is None:
            return None
        if known["fingerprint"] != call.fingerprint:
            raise Refusal(422, "idempotency_key_reused", "The key was used with other parameters.")
        return self._lifecycle.get(known["object_id"])

    def _born(
        self,
        kind: Kind,
        call: Call,
        amount: int,
        currency: str,
        *,
        token: str | None = None,
        parent: str | None = None,
    ) -> sqlite3.Row:
        birth = Birth(call.reference, call.effect_key, amount, currency, token, parent)
        return self._lifecycle.give_birth(kind, birth, fate_of(kind.operation, token, call.fault))

    def _object(self, object_id: str, kind: Kind) -> sqlite3.Row:
        row = self._lifecycle.get(object_id)
        if row is None or KINDS[row["type"]] is not kind:
            raise Refusal(404, "not_found", f"There is no {kind.type} {object_id}.")
        return row

    def _authorization(self, authorization_id: str) -> sqlite3.Row:
        return self._object(authorization_id, AUTHORIZATION)

    def _capturable(self, authorization_id: str, currency: str) -> sqlite3.Row:
        authorization = self._authorization(authorization_id)
        if authorization["currency"] != currency:
            raise Refusal(422, "currency_mismatch", "The authorization is in another currency.")
        if authorization["status"] == "captured":
            raise Refusal(409, "already_captured", "Nothing is left to capture.")
        if authorization["status"] != AUTHORIZATION.true_status or authorization["closed"]:
            raise Refusal(409, "not_capturable", "The authorization cannot be captured.")
        expires_at = authorization["created_at"] + self._options.authorization_validity_seconds
        if time.time() > expires_at:
            raise Refusal(409, "authorization_expired", "The authorization has expired.")
        return authorization

    def _left(self, authorization: sqlite3.Row) -> int:
        taken = self._sum("parent = ? AND type IN ('capture', 'void')", authorization["id"])
        return int(authorization["amount"]) - taken

    def _refundable(self, target_id: str, currency: str) -> int:
        target = self._lifecycle.get(target_id)
        if target is None or KINDS[target["type"]] not in (AUTHORIZATION, CAPTURE):
            raise Refusal(404, "not_found", f"There is nothing refundable named {target_id}.")
        if target["currency"] != currency:
            raise Refusal(422, "currency_mismatch", "The capture is in another currency.")
        authorization_id = target["parent"] or target["id"]
        captures = "parent = ? AND type = 'capture' AND status = 'succeeded'"
        within = "SELECT id FROM objects WHERE parent = ? AND type = 'capture'"
        refunded = self._sum(
            f"type = 'refund' AND (parent = ? OR parent IN ({within}))",
            authorization_id,
            authorization_id,
        )
        refundable = self._sum(captures, authorization_id) - refunded
        if KINDS[target["type"]] is CAPTURE:
            own = target["amount"] if target["status"] == CAPTURE.true_status else 0
            refundable = min(
                refundable, own - self._sum("type = 'refund' AND parent = ?", target_id)
            )
        return refundable

    def _sum(self, condition: str, *parameters: str) -> int:
        row = self._store.row(
            f"SELECT COALESCE(SUM(amount), 0) AS total FROM objects "  # noqa: S608 - no outside text
            f"WHERE status IN ('pending', 'succeeded') AND {condition}",
            *parameters,
        )
        return 0 if row is None else int(row["total"])


_OPEN_TO_VOID = (AUTHORIZATION.true_status, Turn.PENDING, Turn.REQUIRES_ACTION)
