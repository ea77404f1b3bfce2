"""Named points at which a worker process dies, or is stopped, once, exactly there.

`install(file)` runs in the worker. A test arms a point by writing its name, the activity that it
belongs to and what shall happen into that file (`Crash`); the worker that reaches it renames the
file, which disarms it and proves that the point was reached, and is gone.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.boundary import FailureBoundary
from adapters.transport import ObservedTransport
from recompense.contracts.reconciliation import ReconcileInput
from recompense.desk import reconciliations
from recompense.persistence.database import Database
from recompense.persistence.sql_work import SqlWork

KILLED = 137

Point = Literal[
    "before_activity",
    "before_provider_call",
    "after_provider_call",
    "before_commit",
    "after_commit",
    "before_completion",
    "before_start",
]


@dataclass(frozen=True)
class Crash:
    """What is armed: the `nth` time that `activity` comes to `point`, its process ends or stops."""

    point: Point
    activity: str
    nth: int = 1
    action: Literal["kill", "stop"] = "kill"

    def arm(self, file: Path) -> None:
        """Arm it; the file appears whole."""
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(self)), encoding="utf-8")
        draft.rename(file)


def marker(file: Path) -> Path:
    """Where the process that came to the armed point writes its pid, right before it is gone."""
    return file.with_suffix(".reached")


def install(crash_file: str) -> None:
    """Lead this process over its crash points. Only for a worker that belongs to a test."""
    points = _Points(Path(crash_file))
    _watch_activities(points)
    _watch_transactions(points)
    _watch_calls(points)


def install_in_api(crash_file: str) -> None:
    """The same for the API: `before_start` is between a reconciliation's row and its workflow."""
    points = _Points(Path(crash_file))
    start = reconciliations.start

    async def watched(client: Client, given: ReconcileInput) -> None:
        points.came("before_start", "reconciliations.start")
        await start(client, given)

    reconciliations.start = watched


class _Points:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._times = 0

    def reached(self, point: Point) -> None:
        if activity.in_activity():
            self.came(point, activity.info().activity_type)

    def came(self, point: Point, where: str) -> None:
        with suppress(FileNotFoundError):
            armed = Crash(**json.loads(self._file.read_text(encoding="utf-8")))
            if (armed.point, armed.activity) != (point, where):
                return
            self._times += 1
            if self._times == armed.nth:
                self._go(armed)

    def _go(self, armed: Crash) -> None:
        self._times = 0
        self._file.unlink()
        marker(self._file).write_text(str(os.getpid()), encoding="utf-8")
        if armed.action == "kill":
            os._exit(KILLED)
        os.kill(os.getpid(), signal.SIGSTOP)
        # The signal may be taken a moment later, by another thread: nothing is done until then.
        time.sleep(0.2)


def _watch_activities(points: _Points) -> None:
    class Watched(ActivityInboundInterceptor):
        async def execute_activity(self, input: ExecuteActivityInput) -> Any:
            points.reached("before_activity")
            answer = await super().execute_activity(input)
            points.reached("before_completion")
            return answer

    intercept = FailureBoundary.intercept_activity

    def watched(
        boundary: FailureBoundary, following: ActivityInboundInterceptor
    ) -> ActivityInboundInterceptor:
        return Watched(intercept(boundary, following))

    FailureBoundary.intercept_activity = watched  # type: ignore[assignment,method-assign]  # a test's own worker


def _watch_transactions(points: _Points) -> None:
    work = Database.work

    @asynccontextmanager
    async def watched(database: Database) -> AsyncIterator[SqlWork]:
        async with work(database) as transaction:
            yield transaction
            # What the commit would write is with the server before the process dies.
            await transaction.flush()
            points.reached("before_commit")
        points.reached("after_commit")

    Database.work = watched  # type: ignore[assignment,method-assign]  # a test's own worker
    transaction = Database.transaction

    @asynccontextmanager
    async def watched_session(database: Database) -> AsyncIterator[AsyncSession]:
        async with transaction(database) as session:
            yield session
            await session.flush()
            points.reached("before_commit")
        points.reached("after_commit")

    Database.transaction = watched_session  # type: ignore[assignment,method-assign]  # as above


def _watch_calls(points: _Points) -> None:
    call = ObservedTransport.call

    async def watched(transport: ObservedTransport, request: Any, read: Any) -> Any:
        points.reached("before_provider_call")
        answer = await call(transport, request, read)
        points.reached("after_provider_call")
        return answer

    ObservedTransport.call = watched  # type: ignore[assignment,method-assign]  # a test's own worker
