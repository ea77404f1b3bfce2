"""What one operation costs, counted: events, tasks, transactions, statements, provider calls."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from statistics import mode

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from benchmarks.bench import Bench
from benchmarks.controls.call import AMOUNT, async_client
from benchmarks.lab import Lab, open_lab
from benchmarks.merchant import Merchant
from benchmarks.sandbox import Sandbox
from benchmarks.statements import logged, of_each, transactions

OPERATIONS = 5
LOGGED_OPERATIONS = 10
IDLE_SECONDS = 3.0
FIRST_OPERATIONS = 3

TASK_DONE = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
ANSWERED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
ACTIVITY = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
MARKER = EventType.EVENT_TYPE_MARKER_RECORDED


async def measure(bench: Bench) -> None:
    """Count everything on a stack that does nothing else."""
    bench.told("starting the stack")
    async with (
        open_lab() as lab,
        async_client(lab.stack.api_url) as api,
        async_client(lab.stack.sandbox_url) as sandbox,
    ):
        merchant = Merchant(api, lab.stack)
        for _ in range(FIRST_OPERATIONS):
            await merchant.authorize()
        bench.told("histories and provider calls")
        await _histories(bench, lab, merchant, Sandbox(sandbox))
        bench.told("transactions and statements")
        await _statements(bench, lab, merchant)


async def _histories(bench: Bench, lab: Lab, merchant: Merchant, sandbox: Sandbox) -> None:
    client = await lab.client()
    counts: dict[str, list[int]] = defaultdict(list)
    async with sandbox.answering_after(0):
        for _ in range(OPERATIONS):
            made: dict[str, str] = {}
            for kind, operation in _life(merchant, made):
                before = await sandbox.calls()
                made[kind] = await operation()
                counts[f"{kind}.provider_calls"].append(await sandbox.calls() - before)
                for name, count in (await _events(client, kind, made[kind])).items():
                    counts[f"{kind}.{name}"].append(count)
    for key, found in counts.items():
        varied = f"{min(found)} to {max(found)}, this most often" if len(set(found)) > 1 else ""
        if key.startswith("authorization") or key.endswith(("history", "calls")):
            bench.note(key, mode(found), varied)
    bench.result.series["counts"] = dict(counts)


def _life(
    merchant: Merchant, made: dict[str, str]
) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    return [
        ("authorization", merchant.authorize),
        ("capture", lambda: merchant.capture(made["authorization"])),
        ("refund", lambda: merchant.refund(made["authorization"], AMOUNT // 4)),
        ("payout", lambda: merchant.pay_out(AMOUNT // 4)),
    ]


async def _events(client: Client, kind: str, operation_id: str) -> dict[str, int]:
    prefix = {"authorization": "authorize"}.get(kind, kind)
    handle = client.get_workflow_handle(f"{prefix}/{operation_id}")
    # Not by its result: that is encrypted, and this client has no key.
    while (await handle.describe()).close_time is None:
        await asyncio.sleep(0.02)
    events = (await handle.fetch_history()).events
    types = Counter(event.event_type for event in events)
    answered = next((event.event_id for event in events if event.event_type == ANSWERED), 0)
    return {
        "history": len(events),
        "workflow_tasks": sum(
            event.event_type == TASK_DONE and event.event_id < answered for event in events
        ),
        "activities": types[ACTIVITY],
        "markers": types[MARKER],
    }


async def _statements(bench: Bench, lab: Lab, merchant: Merchant) -> None:
    log = lab.log("postgres")

    async def seen(work: Callable[[], Awaitable[None]]) -> Counter[tuple[str, ...]]:
        start = log.stat().st_size
        with logged(lab.superuser_url()):
            await asyncio.sleep(0.2)
            await work()
            await asyncio.sleep(0.2)
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(start)
            return transactions(file)

    async def operations() -> None:
        for _ in range(LOGGED_OPERATIONS):
            await merchant.authorize()

    idle = await seen(lambda: asyncio.sleep(IDLE_SECONDS))
    found = of_each(await seen(operations), idle, LOGGED_OPERATIONS)
    bench.note("authorization.transactions", len(found))
    bench.note("authorization.statements", sum(len(one) - 1 for one in found))
    bench.result.series["statements"] = [list(one) for one in found]
