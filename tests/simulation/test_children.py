"""Parents and children as the simulated server plays them, seen in runs of payouts."""

from __future__ import annotations

from collections import Counter

from tests.simulation.cases import case_of, play
from tests.simulation.memory_runs import runs_in_memory
from tests.simulation.provider_log import Fault
from tests.simulation.runs import Ending, Run
from tests.simulation.scenes import RUN, SCENES
from tests.simulation.snapshots import world_of
from tests.simulation.world import World


def run_with(*faults: Fault) -> World:
    """A run of payouts to its end, with what fails, and with what is resumed when all is well."""
    world, scene = world_of("run", 1), SCENES["run"]
    assert scene.play is not None
    world.provider.faults = list(faults)
    with runs_in_memory():
        world.ask(RUN)
        for _ in range(2):
            scene.play(world)
            world.clock.run()
            world.provider.heal()
    return world


def ends_told(run: Run) -> list[int]:
    return [
        job.resolve_child_workflow_execution.seq
        for task in run.history
        for job in task.told
        if job.HasField("resolve_child_workflow_execution")
    ]


def test_child_that_ends_first_is_told_to_its_parent_once() -> None:
    world = run_with(Fault("F15", "create_payout", 1, 99))
    told = [ends_told(run) for run in world.server.runs if run.workflow_type == "PayoutRun"]
    assert any(told)
    assert all(count == 1 for seqs in told for count in Counter(seqs).values())


def test_full_page_goes_on_as_new_under_the_same_id() -> None:
    world = run_with()
    runs = [run for run in world.server.runs if run.workflow_id == RUN.workflow_id]
    assert [run.ending for run in runs] == [Ending.CONTINUED, Ending.COMPLETED]
    # At once, by itself: a person who found the run standing still would have come later.
    assert runs[1].started == runs[0].history[-1].activations[-1].at


def test_payout_that_was_taken_back_is_started_again_under_its_id() -> None:
    world = run_with(Fault("F1", "create_payout", 1, 99))
    payouts = Counter(run.workflow_id for run in world.server.runs if run.workflow_type == "Payout")
    assert max(payouts.values()) > 1
    failed = {run.workflow_id for run in world.server.runs if run.ending is Ending.FAILED}
    assert {name for name, runs in payouts.items() if runs > 1} <= failed


def test_two_local_activities_that_end_in_one_task_are_both_heard_of() -> None:
    assert play(case_of("run/-/reset@2:0/1")).wrong == []
