"""The tables behind the HTTP API: claims of idempotency keys with their stored answers, and API
keys.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from recompense.persistence.columns import moment, optional_jsonb, optional_moment

__all__ = ["ApiKey", "IdempotencyClaim"]


class IdempotencyClaim(SQLModel, table=True):
    """A request's claim on its idempotency key, the operation that it stands for, and the answer.

    `id` is the digest of caller, method, path and key; by it alone a claim is found. `key` is for
    people: a card number in it is hidden. `holder` is the request that works on it, as
    long as it renews the lease. `status` is null until there is an answer; 202 may be replaced by a
    final one, a final one by nothing.
    """

    __tablename__ = "idempotency_claims"

    id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    caller: str
    method: str
    path: str
    key: str
    fingerprint: bytes = Field(sa_type=LargeBinary)
    merchant_id: str | None = None
    resource_id: str | None = None
    saga_id: str | None = None
    saga_input: dict[str, Any] | None = Field(sa_column=optional_jsonb(), default=None)
    holder: UUID
    renewed_at: datetime = Field(sa_column=moment(), default=None)
    status: int | None = Field(default=None, sa_type=SmallInteger)
    body: str | None = None
    location: str | None = None
    created_at: datetime = Field(sa_column=moment(), default=None)
    answered_at: datetime | None = Field(sa_column=optional_moment(), default=None)


class ApiKey(SQLModel, table=True):
    """An API key. Only its digest is kept; the key itself is shown once, when it is made."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    subject: str
    name: str
    scopes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    merchant_id: str | None = None
    created_by: str
    created_at: datetime = Field(sa_column=moment(), default=None)
    revoked_at: datetime | None = Field(sa_column=optional_moment(), default=None)
