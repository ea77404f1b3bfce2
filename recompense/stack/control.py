"""What can be done to a stack from outside: its state, a restart of a part, down, reset, logs."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from recompense.stack.errors import StackError, WrongUse
from recompense.stack.files import StackFile, StackPaths
from recompense.stack.leftovers import end_leftovers, running_leftovers
from recompense.stack.state import PartState, SupervisorState

DRAIN_SECONDS = 90.0
RESTART_SECONDS = 150.0
POLL_SECONDS = 0.1
FOLLOW_SECONDS = 0.3
PROBE_SECONDS = 5.0
TAIL_LINES = 20


@dataclass(frozen=True)
class PartReport:
    """One part as seen from outside: does its process run, does it answer."""

    state: PartState
    answers: bool

    @property
    def pid(self) -> int | None:
        """The pid of the part's process."""
        return None if self.state.process is None else self.state.process.pid


@dataclass(frozen=True)
class StackReport:
    """A stack as seen from outside."""

    supervised: bool
    parts: tuple[PartReport, ...]

    @property
    def in_order(self) -> bool:
        """Whether the supervisor runs and every part answers."""
        return self.supervised and all(part.answers for part in self.parts)


class Stack:
    """The stack of one data directory, from the outside."""

    def __init__(self, data_dir: Path) -> None:
        self.paths = StackPaths(data_dir.resolve())

    def supervisor(self) -> psutil.Process | None:
        """The supervisor's process, if it runs."""
        state = self._state()
        return None if state is None else state.supervisor.process()

    def report(self) -> StackReport | None:
        """How the parts are; None when no stack was started here, or it was taken down."""
        state = self._state()
        if state is None:
            return None
        supervised = state.supervisor.process() is not None
        if not supervised and not running_leftovers(state):
            return None
        return StackReport(
            supervised, tuple(PartReport(part, _answers(part)) for part in state.parts)
        )

    def stack_file(self) -> StackFile:
        """`stack.json`. Raises `StackError` when no stack runs."""
        found = StackFile.read(self.paths.stack_file)
        if found is None:
            raise StackError(
                f"no stack runs in {self.paths.root}: start one with `recompense stack up`"
            )
        return found

    def down(self) -> bool:
        """Drain the stack; False when none ran.

        A stack whose supervisor was killed is ended part by part.
        """
        supervisor = self.supervisor()
        if supervisor is not None:
            _end(supervisor)
        # The file is gone when the supervisor has drained all; here it tells what it could not.
        state = self._state()
        ended = [] if state is None else end_leftovers(state)
        for file in (self.paths.stack_file, self.paths.state):
            file.unlink(missing_ok=True)
        return supervisor is not None or bool(ended)

    def restart(self, name: str) -> None:
        """Have a part, or all parts of a kind, stopped and started again.

        Raises:
            WrongUse: there is no such part.
            StackError: no stack runs, or the part did not come back in time.
        """
        state, supervisor = self._state(), self.supervisor()
        if state is None or supervisor is None:
            raise StackError(f"no stack runs in {self.paths.root}")
        members = _members(state, name)
        request = self.paths.requests / name
        request.touch()
        supervisor.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + RESTART_SECONDS
        while request.exists():
            if time.monotonic() > deadline or not supervisor.is_running():
                raise StackError(f"{members[0].title} at {members[0].address} did not come back")
            time.sleep(POLL_SECONDS)
        self._check_came_back(name)

    def reset(self) -> None:
        """Take the stack down and remove its state; what else lies in the directory stays."""
        self.down()
        for path in self.paths.contents:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def logs(self, name: str) -> list[Path]:
        """The log files of a part, or of all parts of a kind.

        Raises:
            WrongUse: there is no such log.
        """
        pattern = "worker-*.log" if name == "workers" else f"{name}.log"
        found = sorted(self.paths.logs.glob(pattern)) if name.replace("-", "").isalnum() else []
        if not found:
            known = ", ".join(sorted(file.stem for file in self.paths.logs.glob("*.log")))
            raise WrongUse(f"there is no log of {name!r} in {self.paths.logs}; there are: {known}")
        return found

    def _state(self) -> SupervisorState | None:
        return SupervisorState.read(self.paths.state)

    def _check_came_back(self, name: str) -> None:
        state = self._state()
        for part in () if state is None else _members(state, name):
            if part.phase != "ready":
                raise StackError(
                    f"{part.title} at {part.address} did not come back; see {part.log}"
                )


def _members(state: SupervisorState, name: str) -> list[PartState]:
    found = [
        part
        for part in state.parts
        if part.name == name or (name == "workers" and part.name.startswith("worker-"))
    ]
    if not found:
        raise WrongUse(
            f"there is no part {name!r}; there are: {', '.join(p.name for p in state.parts)}"
        )
    return found


def _answers(part: PartState) -> bool:
    """Whether the part's process runs and answers at its address."""
    if part.phase != "ready" or part.process is None or part.process.process() is None:
        return False
    if part.name in ("postgres", "temporal"):
        return _listens(part.address)
    return not part.address.startswith("http") or _is_healthy(part)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def _is_healthy(part: PartState) -> bool:
    path = "readyz" if part.name == "api" else "healthz"
    url = f"{part.address}/{path}"
    try:
        return httpx.get(url, trust_env=False, timeout=PROBE_SECONDS).is_success
    except httpx.HTTPError:
        return False


def _end(supervisor: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.terminate()
        try:
            supervisor.wait(DRAIN_SECONDS)
        except psutil.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def followed(logs: Sequence[Path]) -> Iterator[str]:
    """All that is in the logs, and then what is added, until the caller has enough."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(log.open(encoding="utf-8", errors="replace")) for log in logs]
        while True:
            added = [text for file in files if (text := file.read())]
            yield from added
            if not added:
                time.sleep(FOLLOW_SECONDS)
