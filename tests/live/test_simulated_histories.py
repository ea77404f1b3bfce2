"""The simulated server against the real one: the same story leaves the same commands, in the same
order. Together the stories make each kind of command that a workflow of ours can make.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WithStartWorkflowOperation, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from recompense.contracts.payout_runs import PayoutRunDecision, RunReview, RunReviewed
from recompense.contracts.sagas import (
    SAGA_TASK_QUEUE,
    PayoutInput,
    PayoutReview,
    PayoutReviewDecision,
    PayoutReviewed,
    RefundInput,
    Resolution,
    ResolveDecision,
    SweepInput,
)
from recompense.contracts.starting import saga_start
from recompense.domain.ids import IdPrefix, new_id
from recompense.persistence.tables import Payment
from tests.live.conftest import HASTY
from tests.replay.fingerprints import fingerprint
from tests.simulation.commands import commands_of
from tests.simulation.disturbances import Disturbance, Trouble
from tests.simulation.memory_runs import runs_in_memory
from tests.simulation.provider_log import Fault
from tests.simulation.runs import Run
from tests.simulation.scenes import RUN, SCENES
from tests.simulation.snapshots import world_of
from tests.simulation.world import World
from tests.support.census import count
from tests.support.payout_runs import merchant_with
from tests.support.platform import Platform, authorize_input, running_platform
from tests.support.sandbox import running_sandbox
from tests.support.scenes import captured, deliver, eventually, on, payout_input, review, state_is
from workflows.authorize import AuthorizePayment
from workflows.payout import Payout
from workflows.payout_run import PayoutRun
from workflows.refund import RefundPayment

SETTLES_MS = 2_000
APPROVE = PayoutReview(decision=PayoutReviewDecision.APPROVE, actor="boss")
APPROVE_RUN = RunReview(decision="approve", actor="boss")
ADVANCE = "marker payout_run.advance"
UNPOLLED = {
    **HASTY,
    "pending": {
        operation: {"poll_interval_seconds": 60} for operation in ("refund", "create_payout")
    },
}
"""The final word comes by an event, at a moment that the story chooses."""

KINDS = {
    "activity",
    "cancel",
    "cancel timer",
    "child",
    "complete",
    "continue as new",
    "fail",
    "marker",
    "search attributes",
    "signal",
    "timer",
    "update accepted",
    "update completed",
}
"""Every kind of command that our workflows make."""


@pytest.fixture
async def platform(
    temporal_address: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    with running_sandbox(
        tmp_path / "sandbox.sqlite3", webhook_url="http://127.0.0.1:9/", pending_delay_ms=SETTLES_MS
    ) as sandbox:
        async with running_platform(
            temporal_address, database_url, sandbox, policy_overrides=UNPOLLED
        ) as running:
            yield running


# The stories, live. Each gives the id of the workflow that is looked at.


async def authorized(platform: Platform) -> str:
    payment = authorize_input()
    await platform.decide(AuthorizePayment, payment)
    return payment.ref().saga_id


async def taken_back(platform: Platform) -> str:
    payment = authorize_input(capture_method="automatic")
    platform.sandbox.arm("capture", "unavailable", times=-1, reference=payment.payment_id)
    await platform.decide(AuthorizePayment, payment)
    return payment.ref().saga_id


async def refused(platform: Platform) -> str:
    await platform.decide(AuthorizePayment, authorize_input(reference="order-1"))
    payment = authorize_input(reference="order-1")
    await platform.decide(AuthorizePayment, payment)
    return payment.ref().saga_id


async def parked(platform: Platform) -> str:
    payment = authorize_input()
    platform.sandbox.arm("*", "timeout_after", times=-1, reference=payment.payment_id)
    asked = asyncio.create_task(platform.decide(AuthorizePayment, payment))
    await eventually(lambda: state_is(platform, payment, "parked"), 90)
    said = Resolution(
        decision=ResolveDecision.SUCCEEDED, actor="ops", reason="seen", provider_reference="by_hand"
    )
    await platform.handle(payment).execute_update("resolve", said)
    await asked
    return payment.ref().saga_id


async def told_by_event(platform: Platform) -> str:
    refund = await _told(platform)
    return refund.ref().saga_id


async def event_applied(platform: Platform) -> str:
    await _told(platform)
    *_, row = await platform.rows(
        "SELECT provider, event_id FROM provider_events ORDER BY received_at"
    )
    return f"provider-event/{row['provider']}/{row['event_id']}"


async def _told(platform: Platform) -> RefundInput:
    refund = RefundInput(
        refund_id=new_id(IdPrefix.REFUND), amount=4_000, **on(await captured(platform))
    )
    platform.sandbox.arm("refund", "pending", reference=refund.refund_id, delay_ms=SETTLES_MS)
    decided = asyncio.create_task(platform.decide(RefundPayment, refund))
    await _tell_twice(platform, refund.refund_id, "refund")
    await decided
    return refund


async def _tell_twice(platform: Platform, operation_id: str, step: str) -> None:
    """The provider tells that it has begun, and how it ended."""
    await eventually(lambda: _is_waited_for(platform, operation_id))
    await deliver(platform, f"{operation_id}:{step}:1", operation_id)
    await asyncio.sleep(1.5 * SETTLES_MS / 1000)
    await deliver(platform, f"{operation_id}:{step}:1", operation_id)


async def _is_waited_for(platform: Platform, operation_id: str) -> bool:
    pending = await platform.rows(
        "SELECT 1 FROM journal WHERE saga_id LIKE '%/' || :id AND outcome_kind = 'pending'",
        id=operation_id,
    )
    return bool(pending)


async def canceled(platform: Platform) -> str:
    payout = await _asked_payout(platform)
    await platform.handle(payout).cancel()
    return str(payout.ref().saga_id)


async def approved(platform: Platform) -> str:
    payout = await _asked_payout(platform)
    reviewed = await review(platform, payout, APPROVE)
    assert reviewed.refusal is None
    await _tell_twice(platform, payout.payout_id, "payout")
    return str(payout.ref().saga_id)


async def approved_early(platform: Platform) -> str:
    await _with_approval(platform)
    payout = payout_input()
    start = saga_start(payout)
    operation = WithStartWorkflowOperation(
        Payout.run,
        payout,
        id=start.workflow_id,
        task_queue=start.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=start.search_attributes,
    )
    reviewed = await platform.client.execute_update_with_start_workflow(
        "review", APPROVE, start_workflow_operation=operation, result_type=PayoutReviewed
    )
    assert reviewed.refusal is None
    await _tell_twice(platform, payout.payout_id, "payout")
    return payout.ref().saga_id


async def _asked_payout(platform: Platform) -> PayoutInput:
    await _with_approval(platform)
    payout = payout_input()
    await platform.decide(Payout, payout)
    return payout


async def _with_approval(platform: Platform) -> None:
    await captured(platform)
    await platform.rows_changed(
        "UPDATE merchants SET payout = jsonb_build_object('approval_above', 1)"
    )


async def swept(platform: Platform) -> str:
    await platform.decide(AuthorizePayment, authorize_input())
    await platform.rows_changed(
        "UPDATE payments SET authorization_expires_at = now() - interval '1 hour'"
    )
    sweep = new_id(IdPrefix.EVENT)
    await platform.client.execute_workflow(
        "SweepAuthorizations", SweepInput(), id=sweep, task_queue=SAGA_TASK_QUEUE
    )
    return sweep


async def run_of_payouts(platform: Platform) -> str:
    merchants = [
        await merchant_with(platform.database, {"EUR": 1_000}, schedule=RUN.name) for _ in range(3)
    ]
    assert len(set(merchants)) == RUN.page_size + 1
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        PayoutRun.run,
        RUN,
        id=RUN.workflow_id,
        task_queue=SAGA_TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    await platform.client.execute_update_with_start_workflow(
        "decision", start_workflow_operation=operation, result_type=PayoutRunDecision
    )
    handle = platform.client.get_workflow_handle(RUN.workflow_id)
    reviewed = await handle.execute_update("review", APPROVE_RUN, result_type=RunReviewed)
    assert reviewed.refusal is None
    return RUN.workflow_id


# The same stories, simulated.


@dataclass(frozen=True)
class Story:
    """A story, live, and the scene of the simulation that is the same."""

    live: Callable[[Platform], Awaitable[str]]
    scene: str
    faults: tuple[Fault, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    people: Callable[[World, Run], None] = lambda world, run: None
    looked_at: str | None = None
    """The workflow, by the start of its id, that is looked at. None: the scene's saga."""
    shown: Callable[[list[str]], list[str]] = lambda commands: commands
    """What does not hang on how long things take."""

    def simulated(self) -> Run:
        """Play it. What went on as new is looked at as it began."""
        with runs_in_memory():
            return self._simulated()

    def _simulated(self) -> Run:
        world, scene = world_of(self.scene, 1), SCENES[self.scene]
        world.provider.faults = list(self.faults)
        Trouble(world, scene.saga, self.disturbances)
        run = world.ask(scene.saga)
        self.people(world, run)
        world.clock.run()
        while world.parked():
            world.provider.heal()
            world.answer_truly(world.parked()[0])
            world.clock.run()
        wanted = self.looked_at or run.workflow_id
        found = [one for one in world.server.runs if one.workflow_id.startswith(wanted)]
        return next(one for one in found if one.workflow_id == found[-1].workflow_id)


def _cancel_later(world: World, run: Run) -> None:
    world.clock.after(5, lambda: world.server.cancel(run))


def _approve_later(world: World, run: Run) -> None:
    world.clock.after(5, lambda: _approve(world, run))


def _approve(world: World, run: Run) -> None:
    world.server.update(run, "review", "review", APPROVE)


def _approve_run_later(world: World, run: Run) -> None:
    world.clock.after(5, lambda: world.server.update(run, "review", "review", APPROVE_RUN))


def _without_waits(commands: list[str]) -> list[str]:
    """A run of payouts asks again and again whether its window is settled: how often is chance."""
    lasting = [words for words in commands if words not in {"timer", "cancel timer"}]
    again = zip(lasting, ["", *lasting], strict=False)
    return [words for words, before in again if (words, before) != (ADVANCE, ADVANCE)]


def _approve_first(world: World, run: Run) -> None:
    """The caller asks for nothing but the review."""
    run.inbox.pop()
    _approve(world, run)


def _sweep_later(world: World, run: Run) -> None:
    def sweep() -> None:
        (payment,) = world.store.rows(Payment)
        payment.authorization_expires_at = payment.created_at
        world.server.start("SweepAuthorizations", "sweep", SweepInput())

    world.clock.after(60, sweep)


FOR_EVER = 99
HOOK = (Disturbance("hook", 0.5),)
STORIES = [
    Story(authorized, "authorize"),
    Story(taken_back, "automatic", (Fault("F1", "capture", 1, FOR_EVER),)),
    Story(refused, "authorize_refused"),
    Story(
        parked,
        "authorize",
        (Fault("F3", "authorize", 1, FOR_EVER), Fault("F2", "lookup", 1, FOR_EVER)),
    ),
    Story(told_by_event, "refund_pending", disturbances=HOOK),
    Story(event_applied, "refund_pending", disturbances=HOOK, looked_at="provider-event/"),
    Story(canceled, "payout_approved", people=_cancel_later),
    Story(approved, "payout_approved", disturbances=HOOK, people=_approve_later),
    Story(approved_early, "payout_approved", disturbances=HOOK, people=_approve_first),
    Story(run_of_payouts, "run", people=_approve_run_later, shown=_without_waits),
    Story(swept, "authorize", people=_sweep_later, looked_at="sweep"),
]


async def _live(platform: Platform, story: Story) -> list[str]:
    workflow_id = await story.live(platform)
    handle: WorkflowHandle[Any, Any] = platform.client.get_workflow_handle(workflow_id)
    with suppress(WorkflowFailureError):
        await handle.result()
    described = (await handle.describe()).raw_description.workflow_execution_info
    first = platform.client.get_workflow_handle(workflow_id, run_id=described.first_run_id)
    return fingerprint((await first.fetch_history()).to_json_dict())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: str(story.live.__name__))
async def test_story_leaves_the_same_commands_live_and_simulated(
    platform: Platform, story: Story
) -> None:
    # In a thread: the simulation runs workflows without an event loop, and ends up without one.
    commands = await asyncio.to_thread(lambda: commands_of(story.simulated()))
    assert story.shown(await _live(platform, story)) == story.shown(commands)
    count("simulated histories compared with Temporal's", story.live.__name__)


def test_stories_make_each_kind_of_command() -> None:
    made = {words for story in STORIES for words in commands_of(story.simulated())}
    assert {kind for kind in KINDS if any(_is(kind, words) for words in made)} == KINDS


def _is(kind: str, words: str) -> bool:
    named = kind in {"activity", "child", "continue as new", "marker"}
    return words == kind or (named and words.startswith(kind))
