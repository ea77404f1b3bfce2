"""What a caller may be allowed to do. A route names its scopes; who has none of them is refused."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """One permission. Nothing is implied: no scope contains another."""

    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"
    PAYOUTS_READ = "payouts:read"
    PAYOUTS_WRITE = "payouts:write"
    PAYOUTS_APPROVE = "payouts:approve"
    LEDGER_READ = "ledger:read"
    MERCHANTS_WRITE = "merchants:write"
    WEBHOOKS_WRITE = "webhooks:write"
    OPS_READ = "ops:read"
    OPS_WRITE = "ops:write"
