"""What the supervisor tells of itself in `state.json`: for `up`, `status` and a successor."""

from __future__ import annotations

from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict

from recompense.stack.files import DataFile

Phase = Literal["starting", "running", "stopping", "failed"]
PartPhase = Literal["waiting", "starting", "ready", "down", "stopped"]

SAME_PROCESS_SECONDS = 2.0


class ProcessMark(BaseModel):
    """One process, told apart from a later one with the same pid by when it began."""

    model_config = ConfigDict(frozen=True)

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """The mark of a running process. Raises `psutil.NoSuchProcess`."""
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The very process, if it still runs."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < SAME_PROCESS_SECONDS
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


class PartState(BaseModel):
    """One part of the stack as its supervisor sees it."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    address: str
    phase: PartPhase
    process: ProcessMark | None = None
    restarts: int = 0
    log: str


class Failure(BaseModel):
    """Why a stack did not come up."""

    model_config = ConfigDict(frozen=True)

    message: str
    exit_status: int
    log: str | None = None


class SupervisorState(DataFile):
    """The supervisor and its parts."""

    supervisor: ProcessMark
    phase: Phase
    parts: tuple[PartState, ...]
    failure: Failure | None = None
