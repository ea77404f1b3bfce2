"""How the Temporal controls work: unsandboxed, with the cache and timeouts of the platform."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


async def serve(
    temporal_address: str,
    task_queue: str,
    workflow: type,
    activities: Sequence[Callable[..., Any]],
) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    client = await Client.connect(temporal_address)
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[workflow],
        activities=activities,
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1.5),
        max_cached_workflows=1000,
    ):
        await stop.wait()
