"""Every step of a payout run with its COMMIT cut before and after, refused and killed: the step is
done again, as Temporal does, and in the end everything is as if there had been no fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from activities.boundary import as_application_error
from recompense.contracts.payout_runs import AdvanceRun, ReviewRun, RunRef, RunReview
from recompense.persistence.database import Database
from tests.support.commit_proxy import CommitProxy, Fault, commit_proxy
from tests.support.run_scene import CHECKER, Scene, run_input, shop

STEPS = ("open", "freeze", "review", "advance", "advance again", "end")
Answer = TypeVar("Answer")


class Story:
    """One run from its start to its end, with a fault in one of its steps."""

    def __init__(self, scene: Scene, proxy: CommitProxy, broken: str, fault: Fault) -> None:
        self.scene, self._proxy, self._broken, self._fault = scene, proxy, broken, fault

    async def do(self, step: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do a step until it is done."""
        if step == self._broken:
            self._proxy.break_commit(self._fault, 1)
        while True:
            try:
                return await work()
            except Exception as error:
                failure = as_application_error(error)
                if failure is None or failure.non_retryable:
                    raise

    async def tell(self) -> str:
        """Tell the story. Returns the run's id."""
        steps = self.scene.steps()
        opened = await self.do("open", lambda: steps.open(run_input()))
        assert opened.run is not None
        run_id = opened.run.id
        assert (await self.do("freeze", lambda: steps.freeze(RunRef(run_id=run_id)))).done
        word = RunReview(decision="approve", actor=CHECKER)
        reviewed = await self.do(
            "review", lambda: steps.review(ReviewRun(run_id=run_id, key="k", review=word))
        )
        assert reviewed.refusal is None
        first = await self.do("advance", lambda: self.advance(run_id))
        started = tuple(item.item_id for item in first.items)
        again = await self.do("advance again", lambda: self.advance(run_id, started=started))
        assert again.items == ()
        for item in first.items:
            await self.scene.payout(item.payout.payout_id, "paid")
        assert (await self.do("end", lambda: self.advance(run_id))).status == "completed"
        return run_id

    async def advance(self, run_id: str, **values: Any) -> Any:
        return await self.scene.steps().advance(AdvanceRun(run_id=run_id, at_once=9, **values))


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("step", STEPS)
async def test_a_broken_commit_changes_nothing_in_the_end(
    database_url: str, step: str, fault: Fault
) -> None:
    async with commit_proxy(database_url) as proxy:
        database = Database(proxy.url, pool_size=2, statement_timeout_seconds=5)
        scene = Scene(database)
        merchants = {await shop(scene) for _ in range(3)}
        run_id = await Story(scene, proxy, step, fault).tell()
        assert proxy.fired, "the fault has not met its commit: the case proves nothing"
        run = await scene.view(run_id)
        assert (run.status, run.items_count, run.paid_count) == ("completed", 3, 3)
        assert run.amount_total == run.amount_paid == {"EUR": 15_000}
        assert {merchant for merchant, _ in await scene.items(run_id)} == merchants
        told = await scene.rows(
            "SELECT type FROM events WHERE type LIKE 'payout_run%' ORDER BY seq"
        )
        assert [row["type"] for row in told] == [
            "payout_run.awaiting_approval",
            "payout_run.completed",
        ]
        audited = await scene.rows("SELECT action FROM audit_log ORDER BY id")
        assert [row["action"] for row in audited] == ["payout_run_made", "payout_run_approve"]
        await database.close()
