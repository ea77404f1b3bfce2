"""A stage for the in-house activities: each is called as a worker calls it, and called again when
the database fails, as Temporal does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from pydantic import BaseModel, TypeAdapter
from temporalio import activity
from temporalio.testing import ActivityEnvironment

from activities.boundary import as_application_error
from activities.breakers import Breakers
from activities.registry import in_house_activities
from activities.toolbox import Toolbox
from adapters import registry
from adapters.transport import ObservedTransport
from recompense.contracts.steps import EventApplied, PageDone
from recompense.persistence.database import Database
from recompense.persistence.verify import verify
from recompense.persistence.watch import verify_payments
from tests.support.commit_proxy import CommitProxy, Fault

MOST_TRIES = 3
TABLES = {
    "payments": "id",
    "captures": "created_at",
    "voids": "payment_id, number",
    "refunds": "id",
    "reserve_tranches": "capture_id",
    "payouts": "id",
    "operations": "saga_id",
    "attempts": "saga_id, number",
    "operation_runs": "saga_id, run_id",
    "journal": "saga_id, step, attempt, leg",
    "orphans": "saga_id, step, attempt, leg",
    "provider_events": "provider, event_id",
    "events": "created, seq",
    "audit_log": "id",
    "ledger_floored_balances": "account, currency",
}
POSTINGS = """
SELECT p.posting_key, p.operation_id, p.payment_id, t.line, t.debit, t.credit, t.amount, t.currency,
       t.phase, t.resolves_key, t.resolves_line, h.resolved
FROM ledger_postings p LEFT JOIN ledger_transfers t ON t.posting_id = p.id
LEFT JOIN ledger_holds h ON h.posting_id = t.posting_id AND h.line = t.line
ORDER BY p.created, p.id, t.line
"""
NUMBERED = {"events": {"seq", "created"}, "audit_log": {"id"}, "orphans": {"id"}}
"""What a transaction that was rolled back leaves gaps in."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:?\d\d)?")
_MADE_ID = re.compile(r"\b(cap|evt)_[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def told(value: object) -> str:
    """A value as text, with what differs from one life to the next (moments, made ids) left out,
    and of an answer what it says about its own try only.
    """
    of_this_try = {"detail"} if isinstance(value, EventApplied) else set()
    of_this_try |= {"handled"} if isinstance(value, PageDone) else set()
    dumped = value.model_dump_json(exclude=of_this_try) if isinstance(value, BaseModel) else None
    text = dumped or _ANYTHING.dump_json(value, fallback=str).decode()
    return _MADE_ID.sub(r"\1_*", _MOMENT.sub("*", text))


def activities_by_name(tools: Toolbox) -> dict[str, Callable[..., Any]]:
    """The real in-house activities under the names that stand in histories."""
    return {
        activity._Definition.must_from_callable(one).name or "": one
        for one in in_house_activities(tools)
    }


@dataclasses.dataclass
class Stage:
    """Runs steps one after the other. `broken` is the step (from 0), and the commit of it, at which
    `fault` happens.
    """

    database: Database
    proxy: CommitProxy
    activities: dict[str, Callable[..., Any]]
    fault: Fault | None = None
    broken: tuple[int, int] | None = None
    performed: list[str] = dataclasses.field(default_factory=list)
    commits: list[int] = dataclasses.field(default_factory=list)
    answers: list[str] = dataclasses.field(default_factory=list)
    failures: list[Exception] = dataclasses.field(default_factory=list)

    async def given(self, name: str, argument: Any, *, run: str = "run-1") -> Any:
        """Perform a step of the time before the story."""
        env = ActivityEnvironment()
        env.info = dataclasses.replace(env.info, workflow_run_id=run)
        return await env.run(self.activities[name], argument)

    async def do(self, name: str, argument: Any, *, run: str = "run-1") -> Any:
        """Perform a step of the story, again after a failure."""
        before = self.proxy.commits
        if self.fault and self.broken and self.broken[0] == len(self.performed):
            self.proxy.break_commit(self.fault, self.broken[1])
        answer = await self._until_done(name, argument, run)
        self.performed.append(name)
        self.commits.append(self.proxy.commits - before)
        self.answers.append(told(answer))
        return answer

    async def _until_done(self, name: str, argument: Any, run: str) -> Any:
        for _ in range(MOST_TRIES):
            try:
                return await self.given(name, argument, run=run)
            except Exception as error:
                failure = as_application_error(error)
                # A worker would report anything else as a defect, or never try it again.
                if failure is None or failure.non_retryable:
                    raise
                self.failures.append(error)
        raise self.failures[-1]

    async def set_up(self, statement: LiteralString, *values: str) -> None:
        """Write rows by hand."""
        connection = await psycopg.AsyncConnection.connect(self.proxy.server_url, autocommit=True)
        async with connection:
            await connection.execute(statement, values)


async def books(server_url: str, *, but: frozenset[str] = frozenset()) -> dict[str, list[str]]:
    """All rows that activities write, less the columns in `but`: each as text, so that a difference
    is readable.
    """
    connection = await psycopg.AsyncConnection.connect(server_url, row_factory=dict_row)
    found = {}
    async with connection:
        for table, order in TABLES.items():
            rows = await connection.execute(f"TABLE {table} ORDER BY {order}".encode())
            found[table] = [
                _told_row(row, NUMBERED.get(table, set()) | but) for row in await rows.fetchall()
            ]
        rows = await connection.execute(POSTINGS.encode())
        found["postings"] = [told(row) for row in await rows.fetchall()]
    return found


def _told_row(row: dict[str, Any], left_out: set[str] | frozenset[str]) -> str:
    return told({name: value for name, value in row.items() if name not in left_out})


async def assert_in_order(database: Database) -> None:
    """Assert that the ledger keeps all of its rules, and agrees with the payments' rows."""
    async with database.engine.connect() as connection:
        report = await verify(connection)
    assert report.in_order, report.first_wrong
    payments = await verify_payments(database.engine)
    assert payments.found == 0, payments.example


@asynccontextmanager
async def staged(
    proxy: CommitProxy,
    *,
    fault: Fault | None = None,
    broken: tuple[int, int] | None = None,
    statement_timeout_seconds: float = 5,
    pool_size: int = 4,
) -> AsyncIterator[Stage]:
    """A stage whose activities reach the database through this proxy."""
    database = Database(
        proxy.url, pool_size=pool_size, statement_timeout_seconds=statement_timeout_seconds
    )
    transport = ObservedTransport(lambda _: None)
    provider = registry.build(
        "sandbox",
        {"base_url": "http://127.0.0.1:9", "webhook_secrets": ["a_test_secret"]},
        transport=transport,
    )
    tools = Toolbox(
        database, registry.Providers([provider]), Breakers(database), default_provider="sandbox"
    )
    try:
        yield Stage(database, proxy, activities_by_name(tools), fault, broken)
    finally:
        await transport.aclose()
        await database.close()


class Copies(Stage):
    """Performs each step by two copies of the saga at once, under two run ids, and goes on with the
    answer of the one that began.

    Both are held at the operation's row until both are there, so that they meet there.
    """

    met = 0

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.database, stage.proxy, stage.activities)

    async def do(self, name: str, argument: Any, *, run: str = "run-1") -> Any:
        """Perform a step twice."""
        connection = await psycopg.AsyncConnection.connect(self.proxy.server_url)
        async with connection:
            await connection.execute("LOCK TABLE operations IN EXCLUSIVE MODE")
            copies = [
                asyncio.create_task(self.given(name, argument, run=one)) for one in (run, "copy")
            ]
            await self._until_both_wait()
            await connection.commit()
        first, second = await asyncio.gather(*copies)
        assert first.verdict == second.verdict == "proceed"
        return first

    async def _until_both_wait(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self.proxy.server_url, autocommit=True)
        async with connection:
            for _ in range(500):
                found = await connection.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if await found.fetchone() == (2,):
                    self.met += 1
                    return
                await asyncio.sleep(0.01)
        raise AssertionError("the copies did not meet")
