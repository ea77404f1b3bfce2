"""No statement of the hot path scans a big table: every in-house step, and the API's claims.

The statements are not listed here. The real code runs, and PostgreSQL tells the plan of whatever it
was asked, what its triggers ask included.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import event

from recompense.contracts.words import AnySagaInput
from recompense.persistence import reads
from recompense.persistence.claims import Claims, NewClaim
from recompense.persistence.database import Database
from tests.support.big_tables import BIG, ROWS, fill, forget_what_was_written
from tests.support.commit_proxy import commit_proxy
from tests.support.database import fresh_database
from tests.support.plans import nodes
from tests.support.postgres import PostgresServer
from tests.support.stage import staged
from tests.support.step_stories import AUTHORIZE
from tests.support.story_list import STORIES

EXPLAINED = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}
CUSTOM, GENERIC = "force_custom_plan", "force_generic_plan"
"""A prepared statement is planned for its values at first, and later once for all."""
OFTEN = [
    "authorization, approved",
    "authorization, captured at once",
    "capture, approved",
    "void, approved",
    "refund, approved late",
    "payout, paid",
]


@dataclass
class Plans:
    """The plans of all that was asked, by the statement's text."""

    by_text: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def note(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, document = (notice.message_primary or "").partition("plan:\n")
        if found:
            told = json.loads(document)
            self.by_text.setdefault(" ".join(told["Query Text"].split()), []).append(told["Plan"])

    def scanning(self) -> dict[str, set[str]]:
        """The big tables that each statement reads from end to end, where it does."""
        found = {
            text: {
                node["Relation Name"]
                for plan in plans
                for node in nodes(plan)
                if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
            }
            for text, plans in self.by_text.items()
        }
        return {text: tables for text, tables in found.items() if tables}


@pytest.fixture(scope="module")
def big_url(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        fill(url)
        with psycopg.connect(url, autocommit=True) as connection:
            for setting, value in EXPLAINED.items():
                connection.execute(
                    f"ALTER DATABASE {connection.info.dbname} SET {setting} = '{value}'".encode()
                )
        yield url


@asynccontextmanager
async def explained(database: Database, mode: str) -> AsyncIterator[Plans]:
    plans = Plans()

    @event.listens_for(database.engine.sync_engine, "connect")
    def listen(connection: Any, _: object) -> None:
        connection.driver_connection.add_notice_handler(plans.note)
        connection.execute(f"SET plan_cache_mode = {mode}")
        connection.commit()

    yield plans


@pytest.mark.parametrize(("mode", "stories"), [(CUSTOM, OFTEN), (GENERIC, list(STORIES))])
async def test_in_house_steps_scan_no_big_table(
    big_url: str, mode: str, stories: list[str]
) -> None:
    asked: set[str] = set()
    for tell, _ in map(STORIES.__getitem__, stories):
        async with (
            commit_proxy(big_url) as proxy,
            staged(proxy) as stage,
            explained(stage.database, mode) as plans,
        ):
            await tell(stage)
        forget_what_was_written(big_url)
        assert plans.scanning() == {}
        asked |= set(plans.by_text)
    for table in ("payments", "operations", "journal", "events", "captures", "payouts"):
        assert any(f"INSERT INTO {table} " in text for text in asked), table
    assert any("ONLY" in text for text in asked), "no foreign key was checked"


@pytest.mark.parametrize("mode", [CUSTOM, GENERIC])
async def test_claims_and_look_ups_of_the_api_scan_no_big_table(big_url: str, mode: str) -> None:
    database = Database(big_url)
    async with explained(database, mode) as plans:
        await _claim_all_ways(Claims(database), AUTHORIZE)
        async with database.transaction() as session:
            await reads.standing(session, AUTHORIZE.ref())
    await database.close()
    forget_what_was_written(big_url)
    assert plans.scanning() == {}
    assert sum("idempotency_claims" in text for text in plans.by_text) >= 8


async def _claim_all_ways(claims: Claims, saga: AnySagaInput) -> None:
    new = NewClaim("tester", "POST", "/", "key", b"\0" * 32, "mer_1", "pay_1", saga)
    assert await claims.claim(new) is None
    await claims.renew(new.id, new.holder)
    await claims.release(new.id, new.holder)
    earlier = await claims.of_resource("pay_1")
    assert earlier is not None
    holder = uuid4()
    assert await claims.take_over(earlier, holder)
    await claims.drop(new.id, new.holder)
    assert await claims.answer(new.id, 201, "{}", None)
    read = await claims.read(new.id)
    assert read is not None
    assert read.created_at < datetime.now(UTC)


def test_a_scan_of_a_big_table_is_found(big_url: str) -> None:
    plans = Plans()
    with psycopg.connect(big_url) as connection:
        connection.add_notice_handler(plans.note)
        connection.execute("SELECT count(*) FROM payments WHERE description = 'x'")
        for table in BIG:
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608
            assert row is not None
            assert row[0] >= ROWS, table
    assert any(tables == {"payments"} for tables in plans.scanning().values())
