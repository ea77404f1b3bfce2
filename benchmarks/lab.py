"""The lab: one embedded stack on free ports in a folder of its own, with the controls beside it."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from psycopg import sql
from temporalio.client import Client

from benchmarks.controls import schemas
from benchmarks.processes import running
from recompense.contracts.sagas import SAGA_TASK_QUEUE
from recompense.stack import postgres
from recompense.stack.files import OWNER_ROLE, Secrets, StackFile, StackPaths
from recompense.stack.ports import PARTS, is_free, ports_from_base
from recompense.stack.temporal_server import is_polled_by

ROOT = Path(__file__).parents[1]
UP_SECONDS = 240
WORKERS = 2
UNLIMITED = "1000000/second"
SETTINGS: Mapping[str, str] = {
    # The load comes from one caller; its rate limit is not what is measured.
    "RECOMPENSE_RATE_LIMIT_READS": UNLIMITED,
    "RECOMPENSE_RATE_LIMIT_WRITES": UNLIMITED,
    # Each statement's transaction can be told from the log when a count turns logging on.
    "RECOMPENSE_POSTGRES_SETTINGS": '{"log_line_prefix": "%m [%p] %q<%a> {%v} "}',
}


@dataclass
class Lab:
    """A running stack and the controls that were started beside it."""

    data_dir: Path
    port_base: int
    settings: Mapping[str, str]
    stack: StackFile
    controls: dict[str, list[int]] = field(default_factory=dict)
    peer_urls: list[str] = field(default_factory=list)

    @property
    def secrets(self) -> Secrets:
        """The keys and passwords of the stack."""
        found = Secrets.read(StackPaths(self.data_dir).secrets)
        if found is None:
            raise RuntimeError(f"no secrets in {self.data_dir}")
        return found

    @property
    def postgres_port(self) -> int:
        """The port of PostgreSQL."""
        return self.port_base + list(PARTS).index("postgres_port")

    def superuser_url(self, database: str = postgres.DATABASE) -> str:
        """The database with the role that may do anything: for filling and counting."""
        return postgres.superuser_url(self.postgres_port, self.secrets, database)

    def owner_url(self, database: str) -> str:
        """A database with the role that owns its tables: for the controls."""
        return self.secrets.owner_url(f"postgresql://127.0.0.1:{self.postgres_port}/{database}")

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return Path(self.stack.logs) / f"{name}.log"

    def environment(self) -> dict[str, str]:
        """What a process of the platform is told when the lab runs it beside the stack's own."""
        return {
            **_clean_environment(),
            **self.settings,
            "RECOMPENSE_DATA_DIR": str(self.data_dir),
            "TEMPORAL_ADDRESS": self.stack.temporal.address,
            "TEMPORAL_NAMESPACE": self.stack.temporal.namespace,
        }

    def process_groups(self) -> dict[str, list[int]]:
        """Every process that takes part, by what it is; the load generator is `load`."""
        pids = self.stack.pids
        groups = {
            "API": list(pids.api),
            "worker": list(pids.workers),
            "Temporal": [pids.temporal] if pids.temporal else [],
            "PostgreSQL": [pids.postgres] if pids.postgres else [],
            "sandbox": [pids.sandbox] if pids.sandbox else [],
            **self.controls,
        }
        return groups | {"load": [os.getpid()]}

    def refresh(self) -> None:
        """Read `stack.json` again: a part has been started anew."""
        found = StackFile.read(StackPaths(self.data_dir).stack_file)
        if found is not None:
            self.stack = found

    async def client(self) -> Client:
        """A Temporal client with the default converter, for the controls and for histories."""
        return await Client.connect(self.stack.temporal.address)

    async def restart(self, *arguments: str) -> None:
        """Take the stack down and up again on the same data directory; the controls go with it."""
        await self.command("stack", "down")
        await self.command("stack", "up", "--port-base", str(self.port_base), *arguments)
        self.refresh()

    async def command(self, *arguments: str) -> str:
        """`recompense <arguments>` for this stack; what it wrote.

        Raises:
            subprocess.CalledProcessError: its exit status was not 0.
        """
        return await asyncio.to_thread(_command, self.data_dir, self.settings, arguments)


@asynccontextmanager
async def open_lab(
    *,
    workers: int = WORKERS,
    without: tuple[str, ...] = (),
    restarts: bool = True,
    settings: Mapping[str, str] = SETTINGS,
) -> AsyncIterator[Lab]:
    """A fresh stack; it is taken down and its files are removed whatever happens.

    `restarts`: whether a part that dies is started again.
    """
    with tempfile.TemporaryDirectory(prefix="recompense-bench-") as folder:
        data_dir, base = Path(folder) / "data", _free_port_base()
        arguments = ["stack", "up", "--port-base", str(base), "--workers", str(workers)]
        for part in without:
            arguments += ["--without", part]
        if not restarts:
            arguments.append("--no-restart")
        try:
            await asyncio.to_thread(_command, data_dir, settings, arguments)
            found = StackFile.read(StackPaths(data_dir).stack_file)
            if found is None:
                raise RuntimeError("the stack is up and says nothing of it")
            yield Lab(data_dir, base, settings, found)
        finally:
            await asyncio.to_thread(_command, data_dir, settings, ["stack", "down"])


@asynccontextmanager
async def controls(lab: Lab, *names: str) -> AsyncIterator[None]:
    """Start the named controls beside the stack, each with as many processes as there are workers.

    Raises:
        benchmarks.processes.DidNotStart: one did not come up.
    """
    for name in names:
        if name == "usual":
            await asyncio.to_thread(_prepare_usual, lab)
        if name == "peer":
            await asyncio.to_thread(_prepare_peer, lab)
    async with AsyncExitStack() as stack:

        async def start(name: str) -> None:
            pid = await stack.enter_async_context(_control(lab, name, len(lab.controls[name])))
            lab.controls[name].append(pid)

        for name in names:
            lab.controls[name] = []
        # The first process of the peer makes its tables; the others find them.
        for _ in range(WORKERS):
            async with asyncio.TaskGroup() as starting:
                for name in names:
                    starting.create_task(start(name))
        yield
    for name in names:
        lab.controls.pop(name)


@asynccontextmanager
async def _control(lab: Lab, name: str, number: int) -> AsyncIterator[int]:
    stack = lab.stack
    arguments = ["-m", f"benchmarks.controls.{name}"]
    if name == "peer":
        url = f"http://127.0.0.1:{_free_port()}"
        arguments += [url.rpartition(":")[2], stack.sandbox_url, lab.owner_url("peer")]
        lab.peer_urls.append(url)
        ready = _answers(url)
    else:
        arguments += [stack.temporal.address, stack.sandbox_url, lab.owner_url(postgres.DATABASE)]
        ready = _polls(await lab.client(), f"bench-{name}")
    # `-P` keeps the folder of the caller out; the benchmarks are no installed package.
    environment = {**_clean_environment(), "PYTHONPATH": str(ROOT)}
    log = lab.log(f"{name}-{number}")
    async with running(["-P", *arguments], log=log, ready=ready, environment=environment) as pid:
        yield pid


@asynccontextmanager
async def platform_worker(lab: Lab, number: int) -> AsyncIterator[int]:
    """One more worker process of the platform, beside those of the stack."""
    ready = _polls(await lab.client(), SAGA_TASK_QUEUE)
    log = lab.log(f"extra-worker-{number}")
    arguments = ["-P", str(ROOT / "worker.py")]
    async with running(arguments, log=log, ready=ready, environment=lab.environment()) as pid:
        yield pid


@asynccontextmanager
async def timed_worker(lab: Lab, report: Path) -> AsyncIterator[int]:
    """A worker process that writes to `report`, when it ends, how long first activations took."""
    ready = _polls(await lab.client(), SAGA_TASK_QUEUE)
    arguments = ["-P", "-m", "benchmarks.timed_worker", str(report)]
    environment = {**lab.environment(), "PYTHONPATH": str(ROOT)}
    log = lab.log("timed-worker")
    async with running(arguments, log=log, ready=ready, environment=environment) as pid:
        yield pid


@asynccontextmanager
async def platform_api(lab: Lab, number: int) -> AsyncIterator[tuple[int, str]]:
    """One more API process, beside that of the stack; its pid and address."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    log = lab.log(f"extra-api-{number}")
    arguments = ["-P", "-m", "uvicorn", "--factory", "api.app:create_app", "--no-access-log"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    async with running(
        arguments, log=log, ready=_answers(url, "readyz"), environment=lab.environment()
    ) as pid:
        yield pid, url


def _answers(url: str, path: str = "healthz") -> Callable[[int], Awaitable[bool]]:
    async def ready(_pid: int) -> bool:
        async with httpx.AsyncClient(trust_env=False, timeout=3) as http:
            try:
                return (await http.get(f"{url}/{path}")).is_success
            except httpx.HTTPError:
                return False

    return ready


def _polls(client: Client, queue: str) -> Callable[[int], Awaitable[bool]]:
    async def ready(pid: int) -> bool:
        return await is_polled_by(client, queue, pid)

    return ready


def _prepare_usual(lab: Lab) -> None:
    with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
        owner = sql.Identifier(OWNER_ROLE)
        connection.execute(
            sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
                sql.Identifier(postgres.DATABASE), owner
            )
        )
    with psycopg.connect(lab.owner_url(postgres.DATABASE), autocommit=True) as connection:
        connection.execute(schemas.USUAL)


def _prepare_peer(lab: Lab) -> None:
    with psycopg.connect(lab.superuser_url(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE peer OWNER {}").format(sql.Identifier(OWNER_ROLE))
        )
    with psycopg.connect(lab.owner_url("peer"), autocommit=True) as connection:
        connection.execute(schemas.PEER)


def _command(data_dir: Path, settings: Mapping[str, str], arguments: Sequence[str]) -> str:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-P", "-m", "recompense.ops.cli", *arguments],
        env={**_clean_environment(), **settings, "RECOMPENSE_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=UP_SECONDS,
        check=True,
    ).stdout


def _clean_environment() -> dict[str, str]:
    """This process's environment without settings of another stack."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RECOMPENSE_", "TEMPORAL_"))
    }


def free_stack(data_dir: Path) -> dict[str, str]:
    """The environment of a stack in a folder of its own, on free ports."""
    base = _free_port_base()
    ports = {
        f"RECOMPENSE_{name.upper()}": str(port) for name, port in ports_from_base(base).items()
    }
    return {**_clean_environment(), **ports, "RECOMPENSE_DATA_DIR": str(data_dir)}


def _free_port_base() -> int:
    """The first of enough free ports in a row, below those of outgoing connections."""
    while True:
        base = random.randrange(20_000, 32_000)  # noqa: S311 - any will do
        if all(is_free(base + offset) for offset in range(len(PARTS))):
            return base


def _free_port() -> int:
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - any will do
        if is_free(port):
            return port
