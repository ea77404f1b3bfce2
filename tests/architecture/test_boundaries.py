"""Who may do what: the rules that import contracts cannot say.

Which package may import which is in pyproject.toml (`lint-imports` checks it).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import (
    PRODUCT,
    Module,
    broken_by,
    findings,
    imports,
    is_within,
    report,
)

COMPOSITION_ROOTS = ("worker.py", "api/app.py", "recompense/ops/", "recompense/stack/")
ENVIRONMENT_READERS = (
    "recompense/settings.py",
    "recompense/stack/",  # hands its own environment on to the parts it starts
    "recompense/sandbox/options.py",  # somebody else's server has options of its own
    "recompense/temporal.py",  # TEMPORAL_*, which are Temporal's own client configuration
)
TRANSACTIONS = "recompense/persistence/database.py"


def reads_settings(module: Module) -> Iterator[str]:
    """Only composition roots load settings; a type annotation loads nothing."""
    if module.path.startswith(COMPOSITION_ROOTS):
        return
    for node, name in imports(module, for_types=False):
        if is_within(name, "recompense.settings"):
            yield module.at(node, f"imports {name}")


def imports_the_worker(module: Module) -> Iterator[str]:
    """`worker.py` is a program, not a library."""
    for node, name in imports(module):
        if is_within(name, "worker"):
            yield module.at(node, f"imports {name}")


def ends_a_transaction(module: Module) -> Iterator[str]:
    """Nobody but the database module ends a transaction or makes a session."""
    if module.path == TRANSACTIONS:
        return
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.rpartition(".")[2] in {"commit", "rollback"} or called == "AsyncSession":
            yield module.at(node, f"{called}()")


def reads_the_environment(module: Module) -> Iterator[str]:
    """The environment is read by settings and by what starts processes."""
    if module.path.startswith(ENVIRONMENT_READERS):
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}:
            yield module.at(node, ast.unparse(node))


def test_only_composition_roots_read_settings() -> None:
    report(
        findings(reads_settings, *PRODUCT),
        "A module that reads settings cannot be used twice in one process, nor tested with other"
        f" values. Take the value as a parameter; {', '.join(COMPOSITION_ROOTS)} hand it in:",
    )


def test_only_settings_read_the_environment() -> None:
    report(
        findings(reads_the_environment, *PRODUCT),
        "What can be configured is a field of recompense/settings.py: validated, documented, and"
        " listed in docs/configuration.md. Add a field and pass its value:",
    )


def test_nobody_imports_the_worker() -> None:
    report(
        findings(imports_the_worker, *PRODUCT, "tests", "benchmarks", "scripts"),
        "worker.py puts the parts together and is started as a process. What others need belongs"
        " into recompense/workers.py:",
    )


def test_one_activity_is_one_transaction() -> None:
    report(
        findings(ends_a_transaction, *PRODUCT),
        "`Database.transaction()` begins, and commits when its block ends: one activity, one"
        " transaction, so that a crash leaves all of it or nothing. Repositories add and flush:",
    )


def test_broken_boundary_is_found() -> None:
    assert broken_by(reads_settings, "from recompense.settings import load_settings")
    assert broken_by(reads_the_environment, "os.environ['RECOMPENSE_X']")
    assert broken_by(imports_the_worker, "from worker import serve")
    assert broken_by(ends_a_transaction, "await session.commit()")
    assert broken_by(ends_a_transaction, "AsyncSession(engine)")


def test_settings_named_in_a_type_only_pass() -> None:
    text = "if TYPE_CHECKING:\n    from recompense.settings import Settings"
    assert not broken_by(reads_settings, text)
