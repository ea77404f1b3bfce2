"""Another build of the workers: the same platform with sagas that go a longer way.

The longer way stands behind a patch, as every change of a released workflow has to, so that runs
of either build can be carried on by the other kind of worker in time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio import workflow

from workflows.compensation import Compensations

PATCH = "test-a-longer-way"
NEW = "new"

_A_MOMENT = 0.01


def install(build_file: Path) -> None:
    """Be the build that the file names. Only for a worker that belongs to a test."""
    if build_file.read_text(encoding="utf-8") == NEW:
        _go_the_longer_way()


def _go_the_longer_way() -> None:
    """Before every in-house step the new build sets a timer: commands that the old one knows
    nothing of. Each step has a patch of its own: a run goes the new way from the first step on that
    it had not come to.
    """
    step = Compensations.step

    async def longer(saga: Compensations, stub: Callable[[Any], Awaitable[Any]], on: Any) -> Any:
        if workflow.patched(f"{PATCH}-to-{stub.__name__}"):
            await workflow.sleep(_A_MOMENT)
        return await step(saga, stub, on)

    Compensations.step = longer  # type: ignore[assignment,method-assign]  # a test's own worker
