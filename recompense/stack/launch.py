"""Starting a supervisor in the background, and hearing from it until every part answers."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from recompense.stack.errors import StackError
from recompense.stack.files import StackPaths
from recompense.stack.options import PYTHON, StackOptions
from recompense.stack.state import Failure, PartState, SupervisorState

POLL_SECONDS = 0.1

OnPart = Callable[[PartState], None]


class StackFailed(StackError):
    """A stack did not come up; `failure` says what the supervisor knows."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.exit_status = failure.exit_status


def start_in_background(options: StackOptions, on_part: OnPart) -> None:
    """Start a supervisor and return when every part answers; `on_part` hears of each change.

    Raises:
        StackFailed: a part did not come up, and the others have been stopped again.
    """
    paths = StackPaths(options.data_dir.resolve())
    paths.logs.mkdir(parents=True, exist_ok=True)
    supervisor_log = paths.logs / "supervisor.log"
    with supervisor_log.open("ab") as file:
        supervisor = subprocess.Popen(  # noqa: S603 - our own module
            [*PYTHON, "-m", "recompense.stack", *options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _wait_until_running(paths, supervisor, on_part)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise


def _wait_until_running(
    paths: StackPaths, supervisor: subprocess.Popen[bytes], on_part: OnPart
) -> None:
    seen: dict[str, PartState] = {}
    while True:
        ended = supervisor.poll() is not None
        state = SupervisorState.read(paths.state)
        if state is not None and state.supervisor.pid == supervisor.pid:
            for part in state.parts:
                if state.failure is None and seen.get(part.name) != part:
                    seen[part.name] = part
                    on_part(part)
            if state.phase == "running":
                return
        if ended:
            raise StackFailed(_failure(paths, supervisor.pid, state))
        time.sleep(POLL_SECONDS)


def _failure(paths: StackPaths, pid: int, state: SupervisorState | None) -> Failure:
    own_file = paths.failure(pid)
    early = SupervisorState.read(own_file)
    own_file.unlink(missing_ok=True)
    for found in (early, state):
        if found is not None and found.supervisor.pid == pid and found.failure is not None:
            return found.failure
    return Failure(
        message="the supervisor ended before the stack was up",
        exit_status=StackError.exit_status,
        log=str(paths.logs / "supervisor.log"),
    )
