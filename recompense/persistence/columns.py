"""Column shapes that every table shares."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, func, text
from sqlalchemy.dialects.postgresql import JSONB


def bigint() -> Column[int]:
    """A required amount or count of 64 bits; SQLModel's plain `int` would be 32."""
    return Column(BigInteger, nullable=False, server_default=text("0"))


def optional_bigint() -> Column[Any]:
    """An amount or a reference of 64 bits that may be missing."""
    return Column(BigInteger, nullable=True)


def jsonb(name: str | None = None) -> Column[Any]:
    """A required JSON document."""
    return Column(name, JSONB, nullable=False) if name else Column(JSONB, nullable=False)


def optional_jsonb() -> Column[Any]:
    """A JSON document that may be missing; a missing one is SQL NULL, never JSON null."""
    return Column(JSONB(none_as_null=True), nullable=True)


def moment(*, touched: bool = False) -> Column[Any]:
    """A required time, set by the database's clock when the row is made.

    `touched`: and again whenever the row changes.
    """
    return Column(
        DateTime(timezone=True),
        nullable=False,
        server_default=func.clock_timestamp(),
        onupdate=func.clock_timestamp() if touched else None,
    )


def optional_moment() -> Column[Any]:
    """A time that may not have come yet."""
    return Column(DateTime(timezone=True), nullable=True)
