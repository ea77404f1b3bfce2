"""Processes that a benchmark starts, and what processes have used: CPU seconds and memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from recompense.stack.control import tail

START_SECONDS = 60.0
STOP_SECONDS = 15.0
MEGABYTE = 1_048_576


class DidNotStart(RuntimeError):
    """A process of the benchmark ended, or did not answer in time; its last words are told."""


@asynccontextmanager
async def running(
    arguments: Iterable[str],
    *,
    log: Path,
    ready: Callable[[int], Awaitable[bool]],
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[int]:
    """Run a Python module or file beside the stack and yield its pid once `ready(pid)` holds.

    Raises:
        DidNotStart: it ended before, or took longer than a minute.
    """
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=dict(environment or os.environ),
            start_new_session=True,
        )
    try:
        await _until_ready(process, ready, log)
        yield process.pid
    finally:
        await _stop(process)


async def _until_ready(
    process: asyncio.subprocess.Process, ready: Callable[[int], Awaitable[bool]], log: Path
) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if await ready(process.pid):
                    return
                await asyncio.sleep(0.1)
    raise DidNotStart(f"{log.stem}, status {process.returncode}: {tail(log)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and all their children, those that ended included.

    This process counts without its children: the controls are among them.
    """
    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if pid == os.getpid():
                total += sum(process.cpu_times()[:2])
                continue
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += sum(one.cpu_times()[:4])
    return total


def memory_megabytes(pid: int) -> float:
    """Resident memory of one process, in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / MEGABYTE
