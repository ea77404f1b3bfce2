"""The embedded Temporal server: the CLI's dev server, tuned, with a database file and the UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType, TaskQueueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    UpdateNamespaceRequest,
)
from temporalio.client import Client

from recompense.contracts import search_attributes
from recompense.settings import LOOPBACK, Settings

NAMESPACE = "default"
RPC_TIMEOUT = timedelta(seconds=5)

DYNAMIC_CONFIG: Mapping[str, str] = {
    # With its one history shard the dev server would let every dispatch after a burst wait 50 ms.
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "500",
    "history.visibilityProcessorMaxPollRPS": "500",
    # Few tasks spread over four partitions wait for a poller of the right one.
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "system.enableActivityEagerExecution": "true",
}
SQLITE_PRAGMAS: Mapping[str, str] = {
    "journal_mode": "wal",
    "synchronous": "NORMAL",
    "cache_size": "-65536",
}
INDEXED_TYPES = {
    key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in search_attributes.ALL
}


def server_command(binary: Path, database: Path, settings: Settings) -> list[str]:
    """The dev server's command line."""
    command = [str(binary), "server", "start-dev", "--ip", LOOPBACK, "--ui-ip", LOOPBACK]
    command += ["--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_port)]
    command += ["--db-filename", str(database), "--log-level", "warn", "--color", "never"]
    command += ["--ui-codec-endpoint", settings.codec_url, "--ui-disable-news-fetch"]
    for flag, pairs in (
        ("--sqlite-pragma", SQLITE_PRAGMAS),
        ("--dynamic-config-value", DYNAMIC_CONFIG),
        ("--search-attribute", {name: _cli_type(kind) for name, kind in INDEXED_TYPES.items()}),
    ):
        for name, value in pairs.items():
            command += [flag, f"{name}={value}"]
    return command


def _cli_type(kind: IndexedValueType.ValueType) -> str:
    return IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").title()


async def keep_histories(client: Client, days: int) -> None:
    """Set for how long the namespace keeps the histories of closed workflows."""
    request = UpdateNamespaceRequest(namespace=client.namespace)
    request.config.workflow_execution_retention_ttl.FromTimedelta(timedelta(days=days))
    await client.workflow_service.update_namespace(request, timeout=RPC_TIMEOUT)


async def add_search_attributes(client: Client) -> list[str]:
    """Register what the sagas are searched by, where it is missing; returns the names added."""
    present = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=RPC_TIMEOUT
    )
    missing = {
        name: kind for name, kind in INDEXED_TYPES.items() if name not in present.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing),
            timeout=RPC_TIMEOUT,
        )
    return sorted(missing)


async def is_polled_by(client: Client, task_queue: str, pid: int) -> bool:
    """Whether the worker process with this pid takes tasks from the queue."""
    queue = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=RPC_TIMEOUT,
    )
    # The SDK names a worker `<pid>@<host>`.
    return any(poller.identity.startswith(f"{pid}@") for poller in queue.pollers)
