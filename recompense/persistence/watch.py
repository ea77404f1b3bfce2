"""The invariants that are watched in production: each is one bounded query over what is under way,
in trouble or new.

They see what went wrong lately, at a price that does not grow with the tables. `verify_payments`
and `recompense ledger verify` read everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recompense.persistence import verify_sql, watch_sql

PAGE = 500


@dataclass(frozen=True, slots=True)
class Watch:
    """One question. What it finds is wrong once it is older than `late_after_seconds`; None: it
    waits for a person, and is never wrong by itself.
    """

    name: str
    asks: str
    query: str
    late_after_seconds: float | None = 0


ALL_PAYMENTS = Watch(
    "all_payments",
    "the sums of each payment are those of its postings",
    watch_sql.ALL_PAYMENTS,
)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a watch found, by the database's clock. `answered` is false when the database did not
    answer in time: then nothing is known.
    """

    watch: Watch
    found: int = 0
    oldest_seconds: float = 0
    example: str | None = None
    answered: bool = True

    @property
    def wrong(self) -> bool:
        """Whether somebody has to look now."""
        late = self.watch.late_after_seconds
        return self.found > 0 and late is not None and self.oldest_seconds >= late


def watches(stuck_after_seconds: float) -> tuple[Watch, ...]:
    """All watches. A saga that moves nothing for `stuck_after_seconds`, and waits for nobody, is
    stuck.
    """
    guards = verify_sql.RULES[0]
    return (
        Watch("guards", guards.rule, _without_age(guards.first_wrong)),
        Watch(
            "trial_balance",
            "the newest snapshots of all accounts moved as many debits as credits",
            watch_sql.TRIAL_BALANCE,
        ),
        Watch(
            "floors",
            "each floored account that moved lately is at its floor or above, and the sum of its"
            " entries",
            watch_sql.FLOORS,
        ),
        Watch(
            "payments",
            "the sums of each payment that moved lately are those of its postings",
            watch_sql.PAYMENTS,
        ),
        Watch("unbooked", "a known outcome is booked within a minute", watch_sql.UNBOOKED, 60),
        Watch("orphans", "an effect that nobody waits for is undone", watch_sql.ORPHANS, 600),
        Watch(
            "stuck", "each saga moves, or waits for somebody", watch_sql.STUCK, stuck_after_seconds
        ),
        Watch(
            "unapplied_events",
            "a stored event is applied within a minute",
            watch_sql.UNAPPLIED,
            60,
        ),
        Watch("unsealed", "a posting is sealed within a minute", watch_sql.UNSEALED, 60),
        Watch(
            "untried_webhooks",
            "an event is handed out, and a delivery that is due is tried, within a minute",
            watch_sql.UNTRIED_WEBHOOKS,
        ),
        Watch(
            "undelivered_webhooks",
            "each endpoint has taken what was delivered to it",
            watch_sql.UNDELIVERED_WEBHOOKS,
            None,
        ),
        Watch("parked", "a person is asked", watch_sql.PARKED, None),
        Watch(
            "parked_orphans",
            "a person is asked to undo an effect at the provider",
            watch_sql.PARKED_ORPHANS,
            None,
        ),
    )


async def observe(engine: AsyncEngine, watch: Watch) -> Observation:
    """Ask one watch, in a transaction of its own that changes nothing."""
    try:
        async with engine.connect() as connection:
            return await _observed(connection, watch)
    except (SQLAlchemyError, OSError):
        return Observation(watch, answered=False)


async def verify_payments(engine: AsyncEngine) -> Observation:
    """Hold the sums of all payments against the ledger, page by page."""
    result, after = Observation(ALL_PAYMENTS), ""
    while True:
        values = {"after": after, "size": PAGE}
        async with engine.connect() as connection:
            page = await _observed(connection, ALL_PAYMENTS, values)
            last = (await connection.execute(text(watch_sql.LAST_OF_PAGE), values)).scalar_one()
        result = replace(
            result,
            found=result.found + page.found,
            oldest_seconds=max(result.oldest_seconds, page.oldest_seconds),
            example=result.example or page.example,
        )
        if last is None:
            return result
        after = last


async def _observed(
    connection: AsyncConnection, watch: Watch, values: Mapping[str, object] | None = None
) -> Observation:
    await connection.execution_options(postgresql_readonly=True)
    row = (await connection.execute(text(summary(watch.query)), values or {})).one()
    return Observation(watch, row.found, row.oldest_seconds, row.example)


def summary(query: str) -> str:
    """The statement that counts what a watch's query finds, and names the oldest of it."""
    return f"""
    SELECT count(*) AS found,
           coalesce(CAST(extract(epoch FROM clock_timestamp() - min(since)) AS float8), 0)
               AS oldest_seconds,
           (array_agg(entry || ': ' || coalesce(detail, '') ORDER BY since))[1] AS example
    FROM ({query} LIMIT {watch_sql.MOST}) AS found
    """  # noqa: S608 - constants


def _without_age(query: str) -> str:
    """What is wrong now, and was found now."""
    return f"SELECT entry, detail, clock_timestamp() AS since FROM ({query}) AS wrong"  # noqa: S608
