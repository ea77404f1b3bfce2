"""No statement of the hot path scans a big table: every in-house step, and the API's claims.

The statements are not listed here. The real code runs, and PostgreSQL tells the plan of whatever it
was asked, what its triggers ask included.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from recompense.contracts.words import AnySagaInput
from recompense.persistence import reads
from recompense.persistence.claims import Claims, NewClaim
from recompense.persistence.database import Database
from tests.support.big_tables import BIG, ROWS, fill, forget_what_was_written
from tests.support.commit_proxy import commit_proxy
from tests.support.database import fresh_database
from tests.support.plans import CUSTOM, EXPLAINED, GENERIC, Plans, explain, explained
from tests.support.postgres import PostgresServer
from tests.support.stage import staged
from tests.support.step_stories import AUTHORIZE
from tests.support.story_list import STORIES

OFTEN = [
    "authorization, approved",
    "authorization, captured at once",
    "capture, approved",
    "void, approved",
    "refund, approved late",
    "payout, paid",
]


@pytest.fixture(scope="module")
def big_url(postgres_server: PostgresServer) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        fill(url)
        explain(url, EXPLAINED)
        yield url


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
