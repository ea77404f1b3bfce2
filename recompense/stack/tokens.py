"""Access tokens of the embedded stack: HS256, short-lived, one subject for each role."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from joserfc import jwt
from joserfc.jwk import OctKey

from recompense.stack.files import Tokens

DEMO_MERCHANT = "mer_demo"
DAY_SECONDS = 86_400.0

SCOPES = (
    "payments:read",
    "payments:write",
    "refunds:write",
    "payouts:read",
    "payouts:write",
    "payouts:approve",
    "ledger:read",
    "merchants:write",
    "webhooks:write",
    "ops:read",
    "ops:write",
)
"""Every scope there is."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "backend": (
        "payments:read",
        "payments:write",
        "refunds:write",
        "payouts:read",
        "payouts:write",
        "webhooks:write",
    ),
    "finance": ("payouts:read", "payouts:write", "payouts:approve", "ledger:read"),
    "ops": ("ops:read", "ops:write", "payments:read", "payouts:read", "ledger:read"),
    "admin": SCOPES,
}


@dataclass(frozen=True)
class TokenIssuer:
    """Who signs tokens, and for whom. `secret` is the API's HS256 secret."""

    secret: str
    issuer: str
    audience: str

    def mint(
        self,
        *,
        subject: str,
        scopes: Collection[str],
        merchant_id: str | None = None,
        lifetime_seconds: float,
    ) -> tuple[str, int]:
        """A signed token, and when it ends (seconds since the epoch).

        Idempotency keys belong to the subject, so whoever renews a token keeps its subject.
        """
        now = int(time.time())
        expires_at = now + int(lifetime_seconds)
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": expires_at,
            "jti": uuid.uuid4().hex,
        }
        if merchant_id is not None:
            claims["merchant_id"] = merchant_id
        return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(self.secret)), expires_at

    def for_all_roles(self) -> Tokens:
        """A day's tokens for the roles of the embedded stack; their subjects never change."""

        def token(role: str, merchant_id: str | None = None) -> str:
            return self.mint(
                subject=f"stack-{role}",
                scopes=ROLES[role],
                merchant_id=merchant_id,
                lifetime_seconds=DAY_SECONDS,
            )[0]

        return Tokens(
            backend=token("backend", DEMO_MERCHANT),
            finance=token("finance"),
            ops=token("ops"),
            admin=token("admin"),
        )
