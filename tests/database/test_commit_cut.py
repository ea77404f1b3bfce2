"""T3: every in-house step of every story, with its COMMIT cut before and after, refused and killed.

After the fault the step is run again, as Temporal does, and in the end everything is as if there
had been no fault: rows, ledger, journal, events, audit and answers.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from activities.boundary import as_application_error
from tests.database.test_payout_run_cuts import STEPS
from tests.support.commit_proxy import Fault, commit_proxy
from tests.support.database import fresh_database
from tests.support.postgres import PostgresServer
from tests.support.stage import Copies, Stage, assert_in_order, books, staged
from tests.support.step_stories import AUTHORIZE
from tests.support.story_list import COMMITS, STORIES

CUTS = (Fault.CUT_BEFORE, Fault.CUT_AFTER)
"""They break every step of every story; the others every activity, where a story first has it."""


def _cases() -> Iterator[tuple[str, int, int, Fault]]:
    seen: set[str] = set()
    for story, (_, steps) in STORIES.items():
        for step, name in enumerate(steps):
            faults = CUTS if name in seen else tuple(Fault)
            seen.add(name)
            for commit in range(1, COMMITS.get(name, 1) + 1):
                yield from ((story, step, commit, fault) for fault in faults)


CASES = [
    pytest.param(
        story, step, commit, fault, id=f"{story}-{step + 1} {STORIES[story][1][step]}-{fault}"
    )
    for story, step, commit, fault in _cases()
]
BY_TWO_COPIES = [
    story
    for story, (_, steps) in STORIES.items()
    if all(name.endswith((".admit", ".record", ".record_capture", ".review")) for name in steps)
    and story != "authorization, refused"
]
OF_A_RUN = frozenset({"right_run_id", "opened_by_run", "decision"})
"""Columns that name the run that was faster, or say until when it may send."""
Ending = tuple[dict[str, list[str]], list[str]]
_undisturbed: dict[str, Ending] = {}


async def _ending(server: PostgresServer, story: str) -> Ending:
    """How a story ends without a fault; and that it is what its name says."""
    if story not in _undisturbed:
        tell, steps = STORIES[story]
        with fresh_database(server) as url:
            async with commit_proxy(url) as proxy, staged(proxy) as stage:
                await tell(stage)
                assert tuple(stage.performed) == steps
                assert stage.commits == [COMMITS.get(name, 1) for name in steps]
                assert stage.failures == []
                await assert_in_order(stage.database)
                _undisturbed[story] = (await books(url), stage.answers)
    return _undisturbed[story]


@pytest.mark.parametrize(("story", "step", "commit", "fault"), CASES)
async def test_broken_commit_changes_nothing_in_the_end(
    postgres_server: PostgresServer,
    database_url: str,
    story: str,
    step: int,
    commit: int,
    fault: Fault,
) -> None:
    rows, answers = await _ending(postgres_server, story)
    tell, _ = STORIES[story]
    async with (
        commit_proxy(database_url) as proxy,
        staged(proxy, fault=fault, broken=(step, commit)) as stage,
    ):
        await tell(stage)
        assert proxy.fired
        assert len(stage.failures) == 1
        assert stage.answers == answers
        await assert_in_order(stage.database)
    assert await books(database_url) == rows


async def test_stories_perform_every_in_house_activity(database_url: str) -> None:
    """Payout runs have a story of their own, but for their plan, which writes nothing."""
    performed = {name for _, steps in STORIES.values() for name in steps}
    cut = {"open", "freeze", "review", "advance"}
    assert cut <= set(STEPS)
    runs = {f"payout_run.{name}" for name in {"plan", *cut}}
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        assert performed | runs == set(stage.activities)


async def test_pool_without_a_free_connection_is_tried_again(
    postgres_server: PostgresServer, database_url: str
) -> None:
    rows, answers = await _ending(postgres_server, "authorization, approved")
    tell, _ = STORIES["authorization, approved"]
    async with (
        commit_proxy(database_url) as proxy,
        staged(proxy, pool_size=1, statement_timeout_seconds=0.3) as stage,
    ):
        await _perform_first_while_the_pool_is_empty(stage)
        await tell(stage)
        assert stage.answers == answers
    assert await books(database_url) == rows


async def _perform_first_while_the_pool_is_empty(stage: Stage) -> None:
    """The worker's only connection is busy: the activity fails as a database that is away does."""
    async with stage.database.transaction() as busy:
        await busy.connection()
        with pytest.raises(PoolTimeout) as raised:
            await stage.given("authorization.admit", AUTHORIZE)
    failure = as_application_error(raised.value)
    assert failure is not None
    assert failure.type == "DatabaseUnavailable"
    assert not failure.non_retryable


@pytest.mark.parametrize("story", BY_TWO_COPIES)
async def test_two_copies_at_once_do_each_step_once(
    postgres_server: PostgresServer, database_url: str, story: str
) -> None:
    with fresh_database(postgres_server) as alone_url:
        async with commit_proxy(alone_url) as proxy, staged(proxy) as alone:
            await STORIES[story][0](alone)
        expected = await books(alone_url, but=OF_A_RUN)
    async with commit_proxy(database_url) as proxy, staged(proxy) as stage:
        copies = Copies(stage)
        await STORIES[story][0](copies)
        assert copies.met == len(STORIES[story][1])
        await assert_in_order(stage.database)
    found = await books(database_url, but=OF_A_RUN)
    runs, alone_runs = found.pop("operation_runs"), expected.pop("operation_runs")
    assert len(runs) == len(alone_runs) + 1
    assert found == expected
