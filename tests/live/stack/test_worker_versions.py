"""Workers of another build take over running sagas, side by side with the old ones for a while:
every saga ends right, nothing is lost or doubled.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

from tests.live.conftest import HASTY
from tests.support import builds, worker_hooks
from tests.support.burst import Burst
from tests.support.caller import Caller, Request, approval, payment
from tests.support.census import count
from tests.support.stack import eventually, stack_of_its_own
from tests.support.stack_books import assert_nothing_lost_or_doubled, quiet

LATE_MS = 10_000
"""How long the bank takes at least: until nothing can be heard of the payout any more."""
PATIENT_WITH_BANKS = {**HASTY, "pending": {"create_payout": {"deadline_seconds": 600}}}
SLOW_MS = 1_500
"""How long a call is under way: within its deadline, and longer than a worker needs to notice that
it shall stop.
"""


@dataclass
class Deployment(Caller):
    """A caller of a stack whose workers are started as the build that a file names."""

    file: Path = field(kw_only=True)

    def replace(self, worker: str) -> None:
        """Stop a worker as a deployment does, and start it as the new build."""
        self.file.write_text(builds.NEW, encoding="utf-8")
        done = self.stack.run("restart", worker)
        assert done.returncode == 0, done.stderr

    def begin(self, request: Request, key: str) -> str:
        """Ask, and do not wait for the outcome. Its id."""
        stack = self.stack.file()
        answer = httpx.post(
            stack["api_url"] + request.path,
            json=dict(request.body),
            headers={
                "Authorization": f"Bearer {stack['tokens'][request.role]}",
                "Idempotency-Key": key,
                "Prefer": "wait=0",
            },
            trust_env=False,
            timeout=15,
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def is_calling(self) -> bool:
        """Whether the slow call has begun."""
        return self.fired("slow") > 0

    def say(self, workflow_id: str, decision: str) -> None:
        """Answer a parked saga, as on-call people do."""
        seen = ("--provider-reference", "by_hand", "--reason", "looked into it")
        done = self.stack.command("sagas", "resolve", workflow_id, decision, *seen)
        assert done.returncode == 0, done.stderr

    def state(self, operation_id: str) -> str | None:
        """Where the operation's saga stands in our rows."""
        with psycopg.connect(self.stack.file()["database_url"]) as connection:
            row = connection.execute(
                "SELECT saga_state FROM operations WHERE operation_id = %s", [operation_id]
            ).fetchone()
        return None if row is None else str(row[0])

    async def history(self, workflow_id: str) -> WorkflowHistory:
        """What Temporal keeps of a saga."""
        temporal = self.stack.file()["temporal"]
        client = await Client.connect(temporal["address"], namespace=temporal["namespace"])
        return await client.get_workflow_handle(workflow_id).fetch_history()


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    """A stack of two workers of the old build."""
    build_file = tmp_path / "build"
    build_file.write_text("old", encoding="utf-8")
    hooks = worker_hooks.settings(build_file=build_file)
    policies = {"RECOMPENSE_POLICY_OVERRIDES": json.dumps({"sandbox": PATIENT_WITH_BANKS})}
    with stack_of_its_own({**hooks, **policies}) as stack:
        stack.up("--workers", "2")
        yield Deployment(stack, file=build_file)


async def test_workers_of_another_build_carry_running_sagas_to_their_end(
    deployment: Deployment,
) -> None:
    under_way = _sagas_under_way(deployment)
    old = set(deployment.stack.file()["pids"]["workers"])
    deployment.arm("capture", "slow", times=1, delay_ms=SLOW_MS)
    in_a_call = deployment.begin(payment(capture_method="automatic"), "in-a-call")
    eventually(deployment.is_calling, "the provider is being called")
    await asyncio.to_thread(deployment.replace, "worker-1")

    assert len(old & set(deployment.stack.file()["pids"]["workers"])) == 1, "not side by side"
    burst = Burst(deployment.stack, seed=77, payments=40)
    await burst.run()
    await asyncio.to_thread(deployment.replace, "worker-2")

    assert old.isdisjoint(deployment.stack.file()["pids"]["workers"])
    deployment.clear()
    deployment.ask(approval(under_way["approval"]))
    deployment.say(f"authorize/{under_way['parked']}", "succeeded")
    await quiet(deployment.stack)
    assert burst.ended_well
    await assert_nothing_lost_or_doubled(deployment.stack, burst.acknowledged + deployment.told)
    assert deployment.state(in_a_call) == "done"
    for kind, workflow_id in _workflow_ids(under_way).items():
        history = await deployment.history(workflow_id)
        assert len(_workers_of(history)) > 1, f"{kind}: one worker did it all, it proves nothing"
        # A run keeps to the way on which it first came to a step.
        assert _took_the_new_way(history) == (kind != "word"), kind
        count("cases by fault", f"workers replaced by another build: {kind}")


def _sagas_under_way(deployment: Deployment) -> dict[str, str]:
    """One saga of each kind of wait, by the id of its operation."""
    deployment.arm("*", "timeout_after")
    parked = deployment.begin(payment(), "parked")
    eventually(lambda: deployment.state(parked) == "parked", "a saga is parked")
    deployment.clear()
    request = deployment.prepared("payout")
    deployment.arm("payout", "pending", times=1, delay_ms=LATE_MS)
    sent = deployment.ask(request)
    assert sent["status"] == "in_transit"
    # Nothing is heard of this payout until the last old worker is gone.
    deployment.arm("*", "unavailable", match={"reference": sent["id"]})
    asked = deployment.ask(deployment.prepared("approved payout"))
    assert asked["status"] == "awaiting_approval"
    return {"parked": parked, "word": str(sent["id"]), "approval": str(asked["id"])}


def _workflow_ids(under_way: dict[str, str]) -> dict[str, str]:
    kinds = {"parked": "authorize", "word": "payout", "approval": "payout"}
    return {kind: f"{kinds[kind]}/{name}" for kind, name in under_way.items()}


def _workers_of(history: WorkflowHistory) -> set[str]:
    """Who has completed tasks of this run."""
    return {
        event.workflow_task_completed_event_attributes.identity
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    }


def _took_the_new_way(history: WorkflowHistory) -> bool:
    return any(
        event.marker_recorded_event_attributes.marker_name == "core_patch"
        for event in history.events
    )
