"""Workflow code runs again from its history: what it does may depend on nothing else.

Production workers run it without the SDK's sandbox, for speed; these checks stand in for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source import (
    Module,
    broken_by,
    findings,
    imports,
    is_within,
    report,
)

MAY_IMPORT = ("recompense.domain", "recompense.contracts", "workflows", "temporalio", "asyncio")
PURE_STANDARD_LIBRARY = (
    "__future__",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "itertools",
    "typing",
)
READ_THE_WORLD = ("recompense.domain.ids.new_id", "temporalio.activity", "temporalio.client")

CLOCKS = {"now", "utcnow", "today", "fromtimestamp"}
CALENDARS = {"datetime", "date", "datetime.datetime", "datetime.date"}
CHANGES_AFTER_A_RESET = {
    "workflow.random",
    "workflow.uuid4",
    "workflow.uuid7",
    "workflow.new_random",
}
DEPENDS_ON_TIMING = {
    "asyncio.wait": "workflow.wait",
    "asyncio.as_completed": "workflow.as_completed",
    "asyncio.to_thread": "an activity",
    "asyncio.run": "await",
}
LEAVES_THE_PROCESS = {"open", "input", "print", "exec", "eval", "id", "hash"}


def only_pure_imports(module: Module) -> Iterator[str]:
    """Only what is free of clocks, chance and the outside."""
    for node, name in imports(module, for_types=False):
        allowed = is_within(name, *MAY_IMPORT, *PURE_STANDARD_LIBRARY)
        if not allowed or is_within(name, *READ_THE_WORLD):
            yield module.at(node, f"imports {name}")


def only_the_workflow_clock(module: Module) -> Iterator[str]:
    """Time comes from `workflow.time()` and `workflow.now()`."""
    for call in _calls(module):
        owner, _, method = ast.unparse(call.func).rpartition(".")
        if method in CLOCKS and owner in CALENDARS:
            yield module.at(call, f"{ast.unparse(call.func)}() reads the machine's clock")


def no_chance(module: Module) -> Iterator[str]:
    """Nothing random, not even Temporal's own: a reset run gets another seed."""
    for call in _calls(module):
        if ast.unparse(call.func) in CHANGES_AFTER_A_RESET:
            yield module.at(call, f"{ast.unparse(call.func)}() differs after a reset")


def no_timing(module: Module) -> Iterator[str]:
    """Nothing whose order is the order of sets or threads, nothing that leaves the process."""
    for call in _calls(module):
        name = ast.unparse(call.func)
        if name in DEPENDS_ON_TIMING:
            yield module.at(call, f"{name}() has no fixed order: use {DEPENDS_ON_TIMING[name]}")
        if name in LEAVES_THE_PROCESS:
            yield module.at(call, f"{name}() is not for workflow code")
    for loop in module.nodes:
        if isinstance(loop, ast.For | ast.comprehension) and _is_set(loop.iter):
            yield module.at(loop.iter, "runs over a set, in no fixed order: sort it")


def _calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in module.nodes if isinstance(node, ast.Call))


def _is_set(iterated: ast.expr) -> bool:
    return isinstance(iterated, ast.Set | ast.SetComp) or (
        isinstance(iterated, ast.Call) and ast.unparse(iterated.func) in {"set", "frozenset"}
    )


def test_workflows_import_only_pure_code() -> None:
    report(
        findings(only_pure_imports, "workflows"),
        "Workflow files import recompense.domain, recompense.contracts, temporalio, asyncio, pure"
        " standard library and each other. What touches the world is an activity: add a stub to"
        " recompense/contracts/activities.py and call that:",
    )


def test_workflows_read_no_clock_but_the_workflows_own() -> None:
    report(
        findings(only_the_workflow_clock, "workflows"),
        "A replay happens later than the run it repeats. Use workflow.time() or workflow.now():",
    )


def test_workflows_leave_nothing_to_chance() -> None:
    report(
        findings(no_chance, "workflows"),
        "Keys and ids come from the operation, the step and the attempt, so that a reset run makes"
        " the same ones. Make ids in the API or in an activity, and journal them:",
    )


def test_workflows_depend_on_no_timing() -> None:
    report(
        findings(no_timing, "workflows"),
        "A replay must take the same steps in the same order:",
    )


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "import random",
        "from uuid import uuid4",
        "import os",
        "import socket",
        "import httpx",
        "from sqlalchemy import select",
        "from recompense.persistence import journal",
        "from recompense.domain.ids import new_id",
        "from activities.sagas import SagaActivities",
        "from temporalio import activity",
    ],
)
def test_impure_import_is_found(text: str) -> None:
    assert broken_by(only_pure_imports, text)


def test_pure_import_passes() -> None:
    assert not broken_by(only_pure_imports, "from recompense.domain.money import Money")
    assert not broken_by(only_pure_imports, "from datetime import timedelta")


def test_impure_call_is_found() -> None:
    assert broken_by(only_the_workflow_clock, "datetime.now(UTC)")
    assert broken_by(only_the_workflow_clock, "date.today()")
    assert not broken_by(only_the_workflow_clock, "workflow.now()")
    assert broken_by(no_chance, "workflow.uuid4()")
    assert broken_by(no_timing, "asyncio.wait(tasks)")
    assert broken_by(no_timing, "for item in set(items): pass")
