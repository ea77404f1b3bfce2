"""News of an earlier attempt's effect: it is about that attempt, or about who has taken it up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlmodel import select

from recompense.contracts.provider import PayoutState
from recompense.contracts.steps import ForgetOrphans, PageRequest
from recompense.domain.failures import InvariantBroken
from recompense.persistence.saga_tables import Orphan
from recompense.persistence.tables import Payment, Payout
from tests.support.commit_proxy import commit_proxy
from tests.support.late_stories import (
    authorized_again,
    capture_stands_of_what_was_taken_back,
    payout_is_taken_up,
)
from tests.support.stage import Stage, assert_in_order, staged
from tests.support.step_stories import AT_ONCE, event_arrives


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with commit_proxy(database_url) as proxy, staged(proxy) as made:
        yield made
        await assert_in_order(made.database)


async def test_payout_that_was_taken_up_comes_back_under_its_first_key(stage: Stage) -> None:
    await payout_is_taken_up(stage)
    applied = await event_arrives(stage, "po_1:payout:1", PayoutState.RETURNED, event_id="back")
    assert applied.detail == "a paid payout came back"
    async with stage.database.transaction() as session:
        payout = (await session.exec(select(Payout))).one()
    assert payout.status == "returned"


async def test_late_void_of_an_earlier_attempt_leaves_the_present_authorization(
    stage: Stage,
) -> None:
    await authorized_again(stage)
    await event_arrives(stage, "pay_1:authorize.undo:1")
    async with stage.database.transaction() as session:
        payment = (await session.exec(select(Payment))).one()
        orphan = (await session.exec(select(Orphan))).one()
    assert (payment.amount_held, payment.amount_voided) == (AT_ONCE.amount, 0)
    assert not payment.authorization_closed
    assert orphan.status == "adopted"


async def test_no_payer_is_charged_again_while_a_capture_stands(stage: Stage) -> None:
    await capture_stands_of_what_was_taken_back(stage)
    with pytest.raises(InvariantBroken, match="capture of pay_1 stands"):
        await stage.given("authorization.admit", AT_ONCE, run="run-2")
    told = ForgetOrphans(saga=AT_ONCE.ref(), actor="ops", reason="given back there")
    await stage.given("saga.forget_orphans", told)
    admitted = await stage.given("authorization.admit", AT_ONCE, run="run-2")
    assert admitted.effect.attempt == 2


async def test_events_that_cannot_be_applied_keep_no_newer_one_from_being_tried(
    stage: Stage,
) -> None:
    await stage.set_up(
        "INSERT INTO provider_events (provider, event_id, event_type, payload, status, received_at)"
        " SELECT 'sandbox', 'stuck-' || i, 'a', CAST('{}' AS jsonb), 'received',"
        " clock_timestamp() - interval '2 days' - i * interval '1 minute'"
        " FROM generate_series(1, 20) AS i UNION ALL"
        " SELECT 'sandbox', 'lost', 'a', '{}', 'received', clock_timestamp() - interval '1 minute'"
    )
    page = await stage.given("provider_event.relay", PageRequest(page_size=10))
    stuck = [f"stuck-{number}" for number in range(20, 11, -1)]
    assert [event.event_id for event in page] == ["lost", *stuck]
