"""What shadows of providers have read: one row for each kind of reading, with how often it came."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from recompense.persistence.columns import bigint, moment

_ADD = text("""
INSERT INTO shadow_readings (live, candidate, operation, difference, times, effect_key)
VALUES (:live, :candidate, :operation, :difference, :times, :effect_key)
ON CONFLICT (live, candidate, operation, difference) DO UPDATE SET
    times = shadow_readings.times + excluded.times, effect_key = excluded.effect_key,
    last_at = clock_timestamp()
""")

_TALLIES = text("""
SELECT live, candidate, operation,
    CASE WHEN difference = :same THEN 'same' ELSE 'different' END AS agreement, sum(times)::bigint
FROM shadow_readings GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")


class Reading(NamedTuple):
    """A kind of reading: what a candidate made of the live provider's answers to an operation."""

    live: str
    candidate: str
    operation: str
    difference: str


class ShadowReading(SQLModel, table=True):
    """A kind of reading, how often it came, and the effect where it came last."""

    __tablename__ = "shadow_readings"

    live: str = Field(primary_key=True)
    candidate: str = Field(primary_key=True)
    operation: str = Field(primary_key=True)
    difference: str = Field(primary_key=True)
    times: int = Field(sa_column=bigint())
    effect_key: str
    first_at: datetime = Field(sa_column=moment(), default=None)
    last_at: datetime = Field(sa_column=moment(), default=None)


async def add(engine: AsyncEngine, readings: Mapping[Reading, tuple[int, str]]) -> None:
    """Add to the counts. Always in the same order, so that two processes do not lock each other."""
    async with engine.begin() as connection:
        for reading, (times, effect_key) in sorted(readings.items()):
            values = {**reading._asdict(), "times": times, "effect_key": effect_key}
            await connection.execute(_ADD, values)


async def tallies(connection: AsyncConnection, same: str) -> dict[tuple[str, str, str, str], int]:
    """How often each candidate read each operation's answers as the live adapter did (`same`) and
    otherwise (`different`): by live provider, candidate, operation and agreement.
    """
    rows = await connection.execute(_TALLIES, {"same": same})
    return {
        (live, candidate, operation, agreement): times
        for live, candidate, operation, agreement, times in rows
    }


async def of_provider(session: AsyncSession, live: str) -> list[ShadowReading]:
    """All readings beside a provider, the most frequent first."""
    found = await session.exec(select(ShadowReading).where(ShadowReading.live == live))
    return sorted(found.all(), key=lambda row: (row.candidate, -row.times, row.difference))
