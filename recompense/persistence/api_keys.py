"""API keys: made once, kept as a digest, looked up by it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from ulid import ULID

from recompense.contracts.scopes import Scope
from recompense.persistence.api_tables import ApiKey
from recompense.persistence.outbox import audit

KEY_PREFIX = "rcp_"
"""How a key is told from a token."""

_SECRET_BYTES = 32


def digest_of(key: str) -> bytes:
    """What is stored of a key. The key has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def create(
    session: AsyncSession,
    *,
    name: str,
    scopes: Collection[Scope],
    merchant_id: str | None,
    actor: str,
    subject: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. Returns its row and the key itself, which nobody can read again."""
    key = KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    key_id = f"key_{ULID()}"
    row = ApiKey(
        id=key_id,
        digest=digest_of(key),
        subject=subject or key_id,
        name=name,
        scopes=sorted(scopes),
        merchant_id=merchant_id,
        created_by=actor,
    )
    session.add(row)
    audit(
        session,
        actor=actor,
        action="api_key_create",
        target=key_id,
        scopes=" ".join(sorted(scopes)),
    )
    return row, key


async def revoke(session: AsyncSession, key_id: str, *, actor: str, reason: str) -> bool:
    """Revoke a key; callers notice within a minute.

    False: there is no such key, or not any more.
    """
    revoked = await session.exec(
        update(ApiKey)
        .where(col(ApiKey.id) == key_id, col(ApiKey.revoked_at).is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(col(ApiKey.id))
    )
    if revoked.one_or_none() is None:
        return False
    audit(session, actor=actor, action="api_key_revoke", target=key_id, reason=reason)
    return True


async def find(session: AsyncSession, key: str) -> ApiKey | None:
    """The live key with this secret."""
    found = await session.exec(
        select(ApiKey).where(ApiKey.digest == digest_of(key), col(ApiKey.revoked_at).is_(None))
    )
    return found.one_or_none()
