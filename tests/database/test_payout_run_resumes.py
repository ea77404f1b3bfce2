"""Failed items of a payout run are paid again, and nothing that may have been paid is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recompense.persistence import payout_runs
from tests.support.run_scene import CHECKER, Scene, shop


async def refused(scene: Scene, payout_id: str) -> None:
    await scene.operation(payout_id, "recorded", "done")


async def declined(scene: Scene, payout_id: str) -> None:
    await scene.payout(payout_id, "failed")
    await scene.operation(payout_id, "recorded", "done")


async def taken_back(scene: Scene, payout_id: str) -> None:
    await scene.payout(payout_id, "failed")
    await scene.operation(payout_id, "closed", "failed")


async def parked(scene: Scene, payout_id: str) -> None:
    await scene.payout(payout_id, "pending", attention=True)
    await scene.operation(payout_id, "open", "parked")


async def came_back(scene: Scene, payout_id: str) -> None:
    await scene.payout(payout_id, "returned")
    await scene.operation(payout_id, "recorded", "done")


Ending = Callable[[Scene, str], Any]


async def ended_with(scene: Scene, ending: Ending) -> tuple[str, str]:
    """A run of one item that ended so: the ids of the run and of its payout."""
    await shop(scene)
    run_id = await scene.running()
    [item] = (await scene.advance(run_id)).items
    await ending(scene, item.payout.payout_id)
    done = await scene.advance(run_id, started=(item.item_id,))
    assert done.status == "completed_with_failures"
    return run_id, item.payout.payout_id


async def resumed(scene: Scene, run_id: str, key: str = "key") -> bool:
    """Whether a resume made an item ready, or had done so before."""
    async with scene.database.transaction() as session:
        row = await payout_runs.locked(session, run_id)
        return await payout_runs.resume(session, row, key=key, actor=CHECKER, reason="again")


@pytest.mark.parametrize(
    ("ending", "counted", "same_payout"),
    [(refused, 1, False), (declined, 1, False), (taken_back, 1, True)],
)
async def test_a_resume_takes_a_failed_item_up(
    scene: Scene, ending: Ending, counted: int, same_payout: bool
) -> None:
    """What can still be replayed keeps its payout: a second one beside it could be paid too."""
    run_id, payout_id = await ended_with(scene, ending)
    assert (await scene.view(run_id)).failed_count == counted
    assert await resumed(scene, run_id)
    [item] = (await scene.advance(run_id)).items
    assert (item.payout.payout_id == payout_id) is same_payout
    assert item.again is same_payout
    [shown] = (await scene.items(run_id)).values()
    assert (shown.status, shown.failure) == ("pending", None)
    assert (await scene.view(run_id)).failed_count == 0


@pytest.mark.parametrize("ending", [parked, came_back])
async def test_a_resume_leaves_what_is_not_known_to_have_failed(
    scene: Scene, ending: Ending
) -> None:
    run_id, _ = await ended_with(scene, ending)
    assert not await resumed(scene, run_id)
    assert (await scene.view(run_id)).status == "completed_with_failures"


async def test_an_item_taken_up_again_is_not_settled_by_its_old_failure(scene: Scene) -> None:
    run_id, payout_id = await ended_with(scene, taken_back)
    await resumed(scene, run_id)
    [item] = (await scene.advance(run_id)).items
    waiting = await scene.advance(run_id, started=(item.item_id,))
    assert (waiting.status, waiting.open) == ("running", 1)
    await scene.rows("UPDATE operations SET attempt = 2, attempt_state = 'open'")
    await scene.payout(payout_id, "in_transit")
    assert (await scene.advance(run_id)).status == "completed"


async def test_a_saga_that_ended_before_it_made_a_payout_fails_its_item(scene: Scene) -> None:
    await shop(scene)
    run_id = await scene.running()
    [item] = (await scene.advance(run_id)).items
    done = await scene.advance(run_id, started=(item.item_id,), lost=(item.item_id,))
    assert done.status == "completed_with_failures"
    [shown] = (await scene.items(run_id)).values()
    assert shown.failure.code == "payout_not_made"
    await scene.payout(item.payout.payout_id, "paid")
    assert not await resumed(scene, run_id)
    [shown] = (await scene.items(run_id)).values()
    assert shown.status == "paid"


async def test_a_resume_is_done_once_for_each_key(scene: Scene) -> None:
    run_id, _ = await ended_with(scene, refused)
    await resumed(scene, run_id)
    [item] = (await scene.advance(run_id)).items
    await refused(scene, item.payout.payout_id)
    assert (await scene.advance(run_id, started=(item.item_id,))).status != "running"
    assert await resumed(scene, run_id)
    assert (await scene.view(run_id)).status == "completed_with_failures"
    assert await resumed(scene, run_id, key="another")
    assert (await scene.view(run_id)).status == "running"
