"""One supervised process: started with its log, watched until ready, stopped in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import psutil

from recompense.stack.errors import PartFailed
from recompense.stack.parts import NOT_READY, Part
from recompense.stack.state import PartPhase, PartState, ProcessMark

START_SECONDS = 90.0
PROBE_SECONDS = 5.0
FIRST_PROBE_PAUSE_SECONDS = 0.05
LONGEST_PROBE_PAUSE_SECONDS = 0.5
LOG_BYTES = 32 * 1024 * 1024


class PartProcess:
    """A part and the process that plays it at the moment."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.restarts = 0
        self.phase: PartPhase = "waiting"
        self.mark: ProcessMark | None = None
        self.started = 0.0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The pid of the present process, or of the last one."""
        return 0 if self.mark is None else self.mark.pid

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process and wait until it is ready.

        Raises:
            PartFailed: it ended, or was not ready in time; it is gone then.
        """
        await self.spawn()
        await self.wait_until_ready()

    async def spawn(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches the supervisor only."""
        part = self.part
        _rotate(part.log)
        with part.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(part.environment),
                start_new_session=True,
                **part.run_as,
            )
        self.started = time.monotonic()
        self.phase = "starting"
        with contextlib.suppress(psutil.NoSuchProcess):
            self.mark = ProcessMark.of(self._process.pid)

    async def wait_until_ready(self) -> None:
        """Probe until the part answers. Raises `PartFailed`, and then the process is gone."""
        deadline, pause = time.monotonic() + START_SECONDS, FIRST_PROBE_PAUSE_SECONDS
        problem = "it was never asked"
        while time.monotonic() < deadline:
            if not self.runs:
                raise self._failed(f"ended with status {await self.wait()} while starting")
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self.part.probe(self.pid)
            except (*NOT_READY, TimeoutError) as error:
                problem = str(error) or type(error).__name__
            else:
                self.phase = "ready"
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PROBE_PAUSE_SECONDS)
        await self.stop()
        raise self._failed(
            f"not ready at {self.part.address} after {START_SECONDS:.0f} s ({problem})"
        )

    async def wait(self) -> int:
        """The exit status, once the process has ended."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask the process to end, and end it when it takes longer than its part allows."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.part.stop_signal)
            try:
                async with asyncio.timeout(self.part.stop_seconds):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self.phase = "stopped"

    def state(self) -> PartState:
        """The part as others may see it."""
        return PartState(
            name=self.part.name,
            title=self.part.title,
            address=self.part.address,
            phase=self.phase,
            process=self.mark,
            restarts=self.restarts,
            log=str(self.part.log),
        )

    def _failed(self, message: str) -> PartFailed:
        return PartFailed(self.part.title, message, self.part.log)


def _rotate(log: Path) -> None:
    """Keep one old log; a part is started seldom enough for that to bound them."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
