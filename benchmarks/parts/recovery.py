"""`kill -9` of a worker: how long until the decision is there."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from benchmarks.bench import Bench
from benchmarks.controls.call import async_client
from benchmarks.lab import Lab, open_lab
from benchmarks.merchant import Merchant
from benchmarks.sandbox import Sandbox
from benchmarks.statistics import spread

KILLS = 2
MOST_TRIES = 10
PATIENCE_SECONDS = 20
PROVIDER_DELAY_MS = 1000
WAITING_FOR_A_LOCK = """
SELECT client_port FROM pg_stat_activity
WHERE application_name = 'recompense-worker' AND wait_event_type = 'Lock' AND state = 'active'
"""
RUNNING = "WorkflowType = 'AuthorizePayment' AND ExecutionStatus = 'Running'"


async def measure(bench: Bench) -> None:
    """Seconds from the kill to the decision, inside a local step and between tasks."""
    bench.told("starting the stack")
    async with (
        open_lab() as lab,
        async_client(lab.stack.api_url) as api,
        async_client(lab.stack.sandbox_url) as sandbox,
    ):
        merchant = Merchant(api, lab.stack)
        await merchant.authorize()
        inside: list[float] = []
        for number in range(KILLS):
            bench.told(f"inside a local step, {number + 1} of {KILLS}")
            inside.append(await _inside_a_step(lab, merchant))
        bench.note("recovery.step", spread(inside))
        between = await _several_between_tasks(bench, lab, merchant, Sandbox(sandbox))
        bench.note("recovery.between", spread(between))


async def _inside_a_step(lab: Lab, merchant: Merchant) -> float:
    """Hold what `admit` reads, kill the worker that waits for it, let go, wait for the decision."""
    await _workers_are_back(lab)
    async with _merchants_locked(lab):
        asked = asyncio.create_task(merchant.authorize())
        worker = await _worker_that_waits(lab)
        os.kill(worker, signal.SIGKILL)
        killed_at = time.monotonic()
    await asyncio.wait_for(asked, PATIENCE_SECONDS)
    return time.monotonic() - killed_at


@asynccontextmanager
async def _merchants_locked(lab: Lab) -> AsyncIterator[None]:
    url = lab.superuser_url()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("LOCK TABLE merchants IN ACCESS EXCLUSIVE MODE")
        yield
        await connection.rollback()


async def _worker_that_waits(lab: Lab) -> int:
    url = lab.superuser_url()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await (await connection.execute(WAITING_FOR_A_LOCK)).fetchone()
                owner = _owner_of_port(lab, found[0]) if found else None
                if owner:
                    return owner
                await asyncio.sleep(0.005)


def _owner_of_port(lab: Lab, port: int) -> int | None:
    for pid in lab.stack.pids.workers:
        connections = psutil.Process(pid).net_connections(kind="tcp")
        if any(connection.laddr.port == port for connection in connections):
            return pid
    return None


async def _several_between_tasks(
    bench: Bench, lab: Lab, merchant: Merchant, sandbox: Sandbox
) -> list[float]:
    """The worker with the saga in its cache dies while another one has the provider's call."""
    client = await lab.client()
    found: list[float] = []
    for _ in range(MOST_TRIES):
        bench.told(f"between tasks, {len(found) + 1} of {KILLS}")
        took = await _between_tasks(lab, client, merchant, sandbox)
        found += [] if took is None else [took]
        if len(found) == KILLS:
            break
    return found


async def _between_tasks(
    lab: Lab, client: Client, merchant: Merchant, sandbox: Sandbox
) -> float | None:
    """None when the same worker had the saga and the call: then the call dies with it."""
    await _workers_are_back(lab)
    async with sandbox.answering_after(PROVIDER_DELAY_MS):
        before = {workflow.id async for workflow in client.list_workflows(RUNNING)}
        asked = asyncio.create_task(merchant.authorize())
        workflow_id = await _new_workflow(client, before)
        saga, call = await _workers_of(client, workflow_id)
        if saga == call:
            await asyncio.wait_for(asked, PATIENCE_SECONDS)
            return None
        os.kill(saga, signal.SIGKILL)
        killed_at = time.monotonic()
        await asyncio.wait_for(asked, PATIENCE_SECONDS)
    return time.monotonic() - killed_at


async def _new_workflow(client: Client, before: set[str]) -> str:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async for workflow in client.list_workflows(RUNNING):
                if workflow.id not in before:
                    return workflow.id
            await asyncio.sleep(0.02)


async def _workers_of(client: Client, workflow_id: str) -> tuple[int, int]:
    """The processes that ran the workflow's last task, and that run its activity."""
    handle = client.get_workflow_handle(workflow_id)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if pending and pending[0].last_worker_identity:
                break
            await asyncio.sleep(0.02)
    events = (await handle.fetch_history()).events
    tasks = [
        event.workflow_task_completed_event_attributes.identity
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    return _pid(tasks[-1]), _pid(pending[0].last_worker_identity)


def _pid(identity: str) -> int:
    """The SDK names a worker `<pid>@<host>`."""
    return int(identity.partition("@")[0])


async def _workers_are_back(lab: Lab) -> None:
    """Wait until the supervisor has started anew what was killed."""
    async with asyncio.timeout(60):
        while True:
            lab.refresh()
            pids = lab.stack.pids.workers
            if len(pids) == 2 and all(map(_runs, pids)):
                await asyncio.sleep(1)
                return
            await asyncio.sleep(0.2)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
