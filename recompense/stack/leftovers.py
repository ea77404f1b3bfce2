"""Processes of a stack whose supervisor was killed: they are found by their marks and ended."""

from __future__ import annotations

import signal

import psutil

from recompense.stack.state import SupervisorState

GRACE_SECONDS = 15.0


def running_leftovers(state: SupervisorState) -> dict[str, psutil.Process]:
    """The parts that still run, by name; a later process with the same pid is not one of them."""
    found = {part.name: part.process.process() for part in state.parts if part.process is not None}
    return {name: process for name, process in found.items() if process is not None}


def end_leftovers(state: SupervisorState) -> list[str]:
    """End every part that still runs; returns their names."""
    running = running_leftovers(state)
    for name, process in running.items():
        # PostgreSQL takes SIGTERM as "wait until all clients have left".
        _signal(process, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(list(running.values()), timeout=GRACE_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    return sorted(running)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
