"""The vendor's objects as JSON."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from recompense.sandbox.options import Options
from recompense.sandbox.tokens import DECLINE_MESSAGES


def moment(unix_time: float) -> str:
    """A Unix time as RFC 3339 in UTC, to the millisecond."""
    return (
        datetime.fromtimestamp(unix_time, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def rendered(row: sqlite3.Row, options: Options, base_url: str = "") -> dict[str, Any]:
    """One object. `base_url` makes the address of the payer's page absolute."""
    shown = {
        "id": row["id"],
        "object": row["type"],
        "reference": row["reference"],
        "idempotency_key": row["effect_key"],
        "amount": row["amount"],
        "currency": row["currency"],
        "status": row["status"],
        "parent": row["parent"],
        "decline": _decline(row["decline_code"]),
        "created_at": moment(row["created_at"]),
    }
    if row["type"] == "authorization":
        shown["expires_at"] = moment(row["created_at"] + options.authorization_validity_seconds)
        if row["status"] == "requires_action":
            shown["redirect_url"] = f"{base_url.rstrip('/')}/3ds/{row['id']}"
    return shown


def _decline(code: str | None) -> dict[str, str] | None:
    return None if code is None else {"code": code, "message": DECLINE_MESSAGES[code]}
