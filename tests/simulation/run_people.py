"""Who carries payout runs: people that approve, reject and resume them, and schedules."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Literal

from recompense.contracts.payout_runs import PayoutRunInput, PayoutRunTriggerInput, RunReview
from recompense.domain.states import PayoutRunStatus
from recompense.persistence.run_tables import PayoutRunRow
from tests.simulation import memory_runs
from tests.simulation.memory_work import MemoryWork
from tests.simulation.runs import Run
from tests.simulation.world import World

COMES_AFTER_SECONDS = 2.0
LOOKS = 40
LOOKS_AGAIN_SECONDS = 1.5
PATIENCE = 8
"""Looks at a run that nobody works on before it is taken to stand still."""
RESUMES = 2


def carrying(decision: Literal["approve", "reject"]) -> Callable[[World], None]:
    """A person who gives a word on the run, and who resumes it while there is something to."""

    def play(world: World) -> None:
        world.clock.after(COMES_AFTER_SECONDS, partial(_look, world, decision, 0, 0))

    return play


def triggering(world: World) -> None:
    """The schedule fires twice for one date, besides a person who asked first."""
    for seconds in (0.02, 0.3):
        name = f"trigger-{world.clock.seconds + seconds}"
        fired = PayoutRunTriggerInput(name="daily")
        world.clock.after(seconds, partial(world.server.start, "PayoutRunTrigger", name, fired))
    carrying("approve")(world)


def _look(world: World, decision: Literal["approve", "reject"], looks: int, resumes: int) -> None:
    rows = world.store.rows(PayoutRunRow)
    row = rows[0] if rows else None
    run = _at_work(world)
    if row is not None and row.status == PayoutRunStatus.AWAITING_APPROVAL and run is not None:
        word = RunReview(decision=decision, actor="boss", reason="looked at it")
        world.server.update(run, "review", f"review-{world.clock.seconds}", word)
    elif row is not None and run is None:
        stands_still = row.is_open and looks >= PATIENCE
        if stands_still or (not row.is_open and resumes < RESUMES):
            resumes += 1
            _resume(world, row, resumes)
        elif not row.is_open:
            return
    if looks < LOOKS:
        again = partial(_look, world, decision, looks + 1, resumes)
        world.clock.after(LOOKS_AGAIN_SECONDS, again)


def _at_work(world: World) -> Run | None:
    """The open run of the workflow, or of a copy of it."""
    return next(
        (run for run in world.server.runs if run.open and run.workflow_type == "PayoutRun"), None
    )


def _resume(world: World, row: PayoutRunRow, number: int) -> None:
    """What `recompense payout-runs resume` does: rows first, then the workflow."""
    work = MemoryWork(world.store)
    key = f"resume-{number}-{world.clock.seconds}"
    row = done(memory_runs.locked(work, row.id))
    resumed = done(memory_runs.resume(work, row, key=key, actor="boss", reason="again"))
    work.write()
    work.commit()
    if resumed:
        start = PayoutRunInput.model_validate(row.carried_on())
        world.server.start("PayoutRun", start.workflow_id, start)


def done(transaction: Coroutine[Any, Any, Any]) -> Any:
    """Run what waits for nothing."""
    try:
        transaction.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the memory waits for nothing")
