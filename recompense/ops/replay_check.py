"""`recompense replay-check`: the recorded histories against today's workflow code."""

from __future__ import annotations

from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from recompense.ops.terminal import (
    NOT_IN_ORDER,
    WrongUse,
    print_json,
    print_table,
    run,
    told_to_the_person,
)
from recompense.workers import workflow_runner
from workflows.registry import WORKFLOWS


def check_histories(folder: Path, *, as_json: bool) -> int:
    """Replay all histories in a folder and print what came of it. Returns the exit status."""
    with told_to_the_person():
        files = _files(folder)
    results = run(replayed(files))
    if as_json:
        checks = [{"history": name, "fits": not why, "why": why} for name, why in results.items()]
        print_json({"data": checks})
    else:
        rows = [
            [name, "does not fit" if why else "fits", why or "-"] for name, why in results.items()
        ]
        print_table(["history", "result", "why"], rows)
    return NOT_IN_ORDER if any(results.values()) else 0


async def replayed(files: list[Path]) -> dict[str, str]:
    """Why each history does not fit the workflows; an empty text for one that fits."""
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(sandboxed=False),
    )
    results = {}
    for file in files:
        history = WorkflowHistory.from_json(file.stem, file.read_text(encoding="utf-8"))
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = result.replay_failure
        results[str(file)] = "" if failure is None else f"{type(failure).__name__}: {failure}"
    return results


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.json"))
    if not found:
        raise WrongUse(f"There are no recorded histories in {folder}.")
    return found
