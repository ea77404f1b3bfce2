"""The parts of the embedded stack: what is run, in which environment, and when it is ready."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from temporalio.client import Client
from temporalio.service import RPCError

from recompense.contracts.sagas import SAGA_TASK_QUEUE
from recompense.settings import LOOPBACK
from recompense.stack import postgres, temporal_server
from recompense.stack.options import PYTHON
from recompense.stack.plan import Plan

PROJECT = Path(__file__).resolve().parents[2]

Probe = Callable[[int], Awaitable[None]]
"""Returns when the part with this pid is ready; raises one of `NOT_READY` when it is not."""


class NotReady(Exception):
    """The part runs and is not ready yet."""


NOT_READY = (NotReady, httpx.HTTPError, psycopg.OperationalError, RPCError, RuntimeError)


@dataclass(frozen=True)
class Part:
    """One process of the stack. `name` is what `stack logs` and `stack restart` take."""

    name: str
    title: str
    address: str
    command: tuple[str, ...]
    log: Path
    probe: Probe
    environment: Mapping[str, str] = field(repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    run_as: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The name that all processes of one kind share: `workers` for each worker."""
        return "workers" if self.name.startswith("worker-") else self.name


def postgres_part(plan: Plan) -> Part:
    """PostgreSQL, as a user of its own when the stack runs as root."""
    port = plan.settings.postgres_port

    async def answers(_pid: int) -> None:
        url = postgres.superuser_url(port, plan.secrets)
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=2) as connection:
            await connection.execute("SELECT 1")

    extra = plan.settings.postgres_settings
    return Part(
        name="postgres",
        title="PostgreSQL",
        address=f"{LOOPBACK}:{port}",
        command=tuple(postgres.server_command(plan.paths.postgres, port, extra)),
        log=plan.log("postgres"),
        probe=answers,
        environment={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        # A fast shutdown: open transactions are rolled back and the files are left clean.
        stop_signal=signal.SIGINT,
        stop_seconds=30,
        run_as=postgres.as_system_user(),
    )


def temporal_part(plan: Plan, binary: Path, client: Client) -> Part:
    """The Temporal dev server with its UI."""
    settings = plan.settings

    async def answers(_pid: int) -> None:
        await temporal_server.keep_histories(client, settings.namespace_retention_days)
        await _http_ok(settings.temporal_ui_url)

    command = temporal_server.server_command(binary, plan.paths.temporal_database, settings)
    return Part(
        name="temporal",
        title="Temporal",
        address=plan.temporal_address,
        command=tuple(command),
        log=plan.log("temporal"),
        probe=answers,
        environment=dict(os.environ),
    )


def sandbox_part(plan: Plan) -> Part:
    """The sandbox provider; its webhooks go to our API."""
    settings = plan.settings
    return Part(
        name="sandbox",
        title="sandbox provider",
        address=settings.sandbox_url,
        command=(*PYTHON, "-m", "recompense.sandbox"),
        log=plan.log("sandbox"),
        probe=_healthz(settings.sandbox_url),
        environment={
            **plan.environment(),
            "RECOMPENSE_SANDBOX_DATA_FILE": str(plan.paths.sandbox_database),
            "RECOMPENSE_SANDBOX_WEBHOOK_URL": f"{settings.api_url}/webhooks/sandbox",
            "RECOMPENSE_SANDBOX_WEBHOOK_SECRET": plan.sandbox_webhook_secret,
        },
    )


def codec_part(plan: Plan) -> Part:
    """The codec server of the Temporal UI."""
    return Part(
        name="codec",
        title="codec server",
        address=plan.settings.codec_url,
        command=(*PYTHON, "-m", "recompense.stack.codec_server"),
        log=plan.log("codec"),
        probe=_healthz(plan.settings.codec_url),
        environment=plan.environment(),
    )


def api_part(plan: Plan) -> Part:
    """The HTTP API."""
    settings = plan.settings
    command = [*PYTHON, "-m", "uvicorn", "--factory", "api.app:create_app"]
    command += ["--host", settings.api_host, "--port", str(settings.api_port), "--no-access-log"]
    command += ["--loop", "asyncio"]  # the same loop whatever else is installed
    command += ["--timeout-graceful-shutdown", str(int(settings.graceful_shutdown_seconds))]

    async def ready(_pid: int) -> None:
        await _http_ok(f"{settings.api_url}/readyz")

    return Part(
        name="api",
        title="API",
        address=settings.api_url,
        command=tuple(command),
        log=plan.log("api"),
        probe=ready,
        environment=plan.environment(),
        stop_seconds=settings.graceful_shutdown_seconds + 5,
    )


def worker_part(plan: Plan, number: int, client: Client) -> Part:
    """One worker process."""
    settings = plan.settings
    queue = (settings.worker_task_queues or (SAGA_TASK_QUEUE,))[0]

    async def polls(pid: int) -> None:
        if not await temporal_server.is_polled_by(client, queue, pid):
            raise NotReady(f"no poller of queue {queue} yet")

    return Part(
        name=f"worker-{number}",
        title=f"worker {number}",
        address=f"queue {queue} at {plan.temporal_address}",
        command=(*PYTHON, str(PROJECT / "worker.py")),
        log=plan.log(f"worker-{number}"),
        probe=polls,
        environment=plan.environment(),
        stop_seconds=settings.graceful_shutdown_seconds + 5,
    )


def migration_command() -> tuple[str, ...]:
    """The command that brings the database to this code's revision."""
    return (*PYTHON, "-m", "recompense.ops.cli", "db", "migrate")


def _healthz(url: str) -> Probe:
    async def answers(_pid: int) -> None:
        await _http_ok(f"{url}/healthz")

    return answers


async def _http_ok(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=3) as http:
        (await http.get(url, follow_redirects=True)).raise_for_status()
