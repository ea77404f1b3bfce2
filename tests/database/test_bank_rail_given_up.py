"""A person says of a collected payout that it was never made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.bank import Bank
from tests.support.bank_rail import Rail, bank_rail


@pytest.fixture
async def rail(database_url: str, tmp_path: Path) -> AsyncIterator[Rail]:
    async with bank_rail(database_url, Bank(tmp_path)) as made:
        yield made


async def test_payout_that_a_person_gives_up_leaves_its_window(rail: Rail) -> None:
    given_up, kept = await rail.collected(1_000), await rail.collected(2_000)
    resolved = await rail.given_up(given_up)
    assert resolved.answer is not None
    assert resolved.answer.outcome.kind == "absent"
    closed = await rail.closed()
    assert closed.batch_id is not None
    await rail.submitted(closed.batch_id)
    assert [one.cents for one in rail.bank.take()] == [2_000]
    assert (await rail.looked_up(kept)).outcome.kind == "pending"


async def test_payout_in_a_file_that_has_not_gone_yet_is_not_given_up(rail: Rail) -> None:
    effect = await rail.collected()
    closed = await rail.closed()
    assert closed.batch_id is not None
    assert (await rail.given_up(effect)).answer is None
    await rail.submitted(closed.batch_id)
    assert len(rail.bank.take()) == 1
    resolved = await rail.given_up(effect)
    assert resolved.answer is not None
    assert resolved.answer.outcome.kind == "absent"
