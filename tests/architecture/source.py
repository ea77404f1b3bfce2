"""The project's own source, read once: files, syntax trees, and what a check found where."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("workflows", "activities", "adapters", "api", "recompense", "worker.py")
"""What runs in production, in the order of the house."""


@dataclass(frozen=True)
class Module:
    """One Python file: its path below the root, its text and its syntax tree."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree; shared, so nobody may change it."""
        return _parsed(self.text)

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the syntax tree."""
        return _walked(self.text)

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return self.text.count("\n")

    def at(self, node: ast.AST, what: str) -> str:
        """A finding in this file, in the form that editors jump to."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


Check = Callable[[Module], Iterator[str]]
"""Yields one line for each place in a module that breaks a rule."""


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _walked(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_parsed(text)))


@cache
def tracked_files() -> tuple[str, ...]:
    """Every file that is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - the git on PATH
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return tuple(sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file()))


def modules(*under: str) -> list[Module]:
    """The Python files below these folders, or these files themselves."""
    return [
        _module(path)
        for path in tracked_files()
        if path.endswith(".py") and any(path == top or path.startswith(f"{top}/") for top in under)
    ]


@cache
def _module(path: str) -> Module:
    return Module(path, (ROOT / path).read_text(encoding="utf-8"))


def findings(check: Check, *under: str) -> list[str]:
    """What a check finds in the files below these folders."""
    return [found for module in modules(*under) for found in check(module)]


def report(found: list[str], rule: str) -> None:
    """Fail with the rule: what it is for, what to do instead, and the places that break it."""
    assert not found, f"{rule}\n  " + "\n  ".join(found)


def broken_by(check: Check, text: str) -> bool:
    """Whether a check finds anything in a piece of source: so each check shows that it can fail."""
    return any(check(Module("example.py", text)))


def imports(module: Module, *, for_types: bool = True) -> Iterator[tuple[ast.AST, str]]:
    """Each import of a module with the dotted name that it loads, `from a import b` as `a.b`.

    Without `for_types`, imports below `if TYPE_CHECKING:` are left out: they load nothing.
    """
    skipped = set() if for_types else _below_type_checking(module)
    for node in module.nodes:
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def _below_type_checking(module: Module) -> set[ast.AST]:
    return {
        node
        for branch in module.nodes
        if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
        for node in ast.walk(branch)
    }


def is_within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of these packages or lies below one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
