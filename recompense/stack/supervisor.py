"""The supervisor: starts the parts in order, starts again what dies, and drains them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any

from recompense.stack.assembly import Assembly
from recompense.stack.demo_merchant import create_demo_merchant
from recompense.stack.errors import PartFailed, StackError
from recompense.stack.files import Pids, StackFile, TemporalPlace, Tokens
from recompense.stack.parts import Part
from recompense.stack.plan import Plan
from recompense.stack.process import PartProcess
from recompense.stack.state import Failure, Phase, ProcessMark, SupervisorState
from recompense.stack.tokens import TokenIssuer

log = logging.getLogger("recompense.stack")

BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
STEADY_SECONDS = 30.0
"""A part that ran so long before it died is started again without delay."""

DRAIN_ORDER = (("api",), ("workers",), ("codec", "sandbox"), ("temporal",), ("postgres",))


class Supervisor:
    """Runs one stack until it is told to stop. `restart`: whether what dies is started again."""

    def __init__(self, plan: Plan, mark: ProcessMark, *, restart: bool = True) -> None:
        self._plan = plan
        self._mark = mark
        self._restart = restart
        self._parts: dict[str, PartProcess] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._tokens: Tokens | None = None
        self._phase: Phase = "starting"
        self._failure: Failure | None = None
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()

    async def run(self) -> int:
        """Start, serve, drain. Returns the exit status of the process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._asked.set)
        try:
            await self._until_stopped(self._start_and_serve())
        except StackError as error:
            log.error("%s", error)  # noqa: TRY400 - for a person; a stack trace says nothing more
            part_log = str(error.log) if isinstance(error, PartFailed) and error.log else None
            self._failure = Failure(message=str(error), exit_status=error.exit_status, log=part_log)
        finally:
            await self._drain()
        return 0 if self._failure is None else self._failure.exit_status

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and leave it when a signal comes."""
        task, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if task.done():
            await task
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _start_and_serve(self) -> None:
        assembly = await Assembly.make(self._plan)
        self._publish()
        await _all_of(
            self._start_database(assembly),
            *(self._start(part) for part in assembly.independent_parts()),
        )
        await assembly.check_temporal()
        self._tokens = self._issuer().for_all_roles()
        await _all_of(*(self._start(part) for part in assembly.dependent_parts()))
        if "api" in self._parts:
            await create_demo_merchant(self._plan.settings.api_url, self._tokens.admin)
        self._phase = "running"
        self._publish_running()
        log.info("the stack is ready: %s", self._plan.settings.api_url)
        await self._serve_requests()

    async def _start_database(self, assembly: Assembly) -> None:
        part = await assembly.postgres_part()
        if part is not None:
            await self._start(part)
        await assembly.prepare_database()

    async def _start(self, part: Part) -> None:
        running = self._parts[part.name] = PartProcess(part)
        await running.spawn()
        self._publish()
        await running.wait_until_ready()
        log.info("%s is ready at %s", part.title, part.address)
        self._watch(running)
        self._publish()

    def _watch(self, running: PartProcess) -> None:
        task = asyncio.create_task(self._keep_alive(running))
        self._watchers[running.part.name] = task

    async def _keep_alive(self, running: PartProcess) -> None:
        """Start the part again whenever it ends."""
        failures = 0
        while True:
            status = await running.wait()
            running.phase = "down"
            self._publish()
            log.warning("%s ended with status %s", running.part.title, status)
            if not self._restart:
                return
            lived = time.monotonic() - running.started
            failures = 0 if lived > STEADY_SECONDS else failures + 1
            await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])
            try:
                await running.start()
            except PartFailed as error:
                log.error("%s", error)  # noqa: TRY400 - as above
                continue
            self._started_again(running)

    def _started_again(self, running: PartProcess) -> None:
        running.restarts += 1
        log.info("%s was started again, pid %s", running.part.title, running.pid)
        self._publish_running()

    async def _serve_requests(self) -> None:
        folder = self._plan.paths.requests
        while True:
            await self._asked.wait()
            self._asked.clear()
            for request in sorted(folder.iterdir()):
                await self._restart_group(request.name)
                request.unlink(missing_ok=True)

    async def _restart_group(self, group: str) -> None:
        for running in self._members(group):
            self._watchers[running.part.name].cancel()
            await running.stop()
            try:
                await running.start()
                self._started_again(running)
            except PartFailed as error:
                log.error("%s", error)  # noqa: TRY400 - as above
            self._watch(running)

    def _members(self, group: str) -> list[PartProcess]:
        return [
            running
            for running in self._parts.values()
            if group in (running.part.name, running.part.group)
        ]

    async def _drain(self) -> None:
        """Stop the parts so that each can still finish what it began with the next one's help."""
        if self._failure is None:
            self._phase = "stopping"
            log.info("draining")
        for watcher in self._watchers.values():
            watcher.cancel()
        self._plan.paths.stack_file.unlink(missing_ok=True)
        for groups in DRAIN_ORDER:
            members = [running for group in groups for running in self._members(group)]
            await asyncio.gather(*(running.stop() for running in members))
            self._publish()
        if self._failure is None:
            self._plan.paths.state.unlink(missing_ok=True)
            log.info("the stack is down")
        else:
            self._phase = "failed"
            self._publish()

    def _issuer(self) -> TokenIssuer:
        settings = self._plan.settings
        secret = settings.jwt_secret
        return TokenIssuer(
            secret=self._plan.secrets.jwt_secret if secret is None else secret.get_secret_value(),
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )

    def _publish(self) -> None:
        state = SupervisorState(
            supervisor=self._mark,
            phase=self._phase,
            parts=tuple(running.state() for running in self._parts.values()),
            failure=self._failure,
        )
        state.write(self._plan.paths.state)

    def _publish_running(self) -> None:
        # The addresses first: whoever sees the state "running" looks for them.
        if self._tokens is not None and self._phase == "running":
            self._stack_file(self._tokens).write(self._plan.paths.stack_file)
        self._publish()

    def _stack_file(self, tokens: Tokens) -> StackFile:
        plan, settings = self._plan, self._plan.settings
        return StackFile(
            api_url=settings.api_url,
            sandbox_url=settings.sandbox_url,
            codec_url=settings.codec_url,
            database_url=plan.database_url,
            temporal=TemporalPlace(
                address=plan.temporal_address,
                namespace=plan.namespace,
                ui_url=settings.temporal_ui_url,
            ),
            tokens=tokens,
            pids=self._pids(),
            logs=str(plan.paths.logs),
        )

    def _pids(self) -> Pids:
        def pids(group: str) -> tuple[int, ...]:
            return tuple(running.pid for running in self._members(group))

        def only(group: str) -> int | None:
            return next(iter(pids(group)), None)

        return Pids(
            postgres=only("postgres"),
            temporal=only("temporal"),
            sandbox=only("sandbox"),
            codec=only("codec"),
            api=pids("api"),
            workers=pids("workers"),
        )


async def _all_of(*starts: Awaitable[None]) -> None:
    """Wait for all of them; when one fails the others are given up and its error is raised."""
    tasks = [asyncio.ensure_future(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _give_up(tasks)


async def _give_up(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
