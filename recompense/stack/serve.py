"""Being the supervisor: the lock on the data directory, what an earlier one left, the run."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
from collections.abc import Iterator

from recompense.settings import InvalidSettings
from recompense.stack.errors import StackError, WrongUse
from recompense.stack.files import StackPaths
from recompense.stack.leftovers import end_leftovers
from recompense.stack.options import StackOptions
from recompense.stack.plan import Plan, make_plan
from recompense.stack.state import Failure, ProcessMark, SupervisorState
from recompense.stack.supervisor import Supervisor

log = logging.getLogger("recompense.stack")


def supervise(options: StackOptions) -> int:
    """Be the supervisor until a signal comes. Returns the exit status."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr, force=True
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    paths = StackPaths(options.data_dir.resolve())
    paths.root.mkdir(parents=True, exist_ok=True)
    mark = ProcessMark.of(os.getpid())
    try:
        with _lock(paths):
            plan = _fresh_plan(paths, options)
            return asyncio.run(Supervisor(plan, mark, restart=options.restart).run())
    except StackError as error:
        log.error("%s", error)  # noqa: TRY400 - for a person; a stack trace says nothing more
        failure = Failure(message=str(error), exit_status=error.exit_status)
        state = SupervisorState(supervisor=mark, phase="failed", parts=(), failure=failure)
        # Not where a running stack keeps its state: this one may have failed because that one runs.
        state.write(paths.failure(mark.pid))
        return error.exit_status


@contextlib.contextmanager
def _lock(paths: StackPaths) -> Iterator[None]:
    with paths.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUse(f"another supervisor runs a stack in {paths.root}") from None
        yield


def _fresh_plan(paths: StackPaths, options: StackOptions) -> Plan:
    """The plan, after what an earlier stack left behind has been cleared away."""
    before = SupervisorState.read(paths.state)
    if before is not None:
        for name in end_leftovers(before):
            log.info("ended a leftover: %s", name)
    for leftover in (paths.stack_file, paths.state):
        leftover.unlink(missing_ok=True)
    for request in paths.requests.glob("*"):
        request.unlink()
    try:
        return make_plan(options)
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
