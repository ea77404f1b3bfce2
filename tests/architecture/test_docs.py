"""The documentation speaks of what exists, and its generated pages are current."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
import typer

from recompense.ops.cli import app
from recompense.settings import Settings
from tests.architecture.source import ROOT, report, tracked_files

PAGES: Mapping[str, Callable[[], str]] = runpy.run_path(
    str(ROOT / "scripts" / "generate_docs.py"), run_name="generate_docs"
)["PAGES"]

LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#([^)\s]+))?\)")
NAMED_FILE = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|yml|sh)|(?:[\w.-]+/){2,})`")
OF_THE_TESTS = frozenset({"SOAK"})
"""Variables that only tests read: how much of them is run."""

NAMED_SETTING = re.compile(r"\bRECOMPENSE_([A-Z][A-Z_]*[A-Z])\b")
NAMED_COMMAND = re.compile(
    r"(?:^|`|bin/)recompense ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", re.MULTILINE
)
TO_BE_WRITTEN = "docs/README-draft.md"
"""A draft may link to pictures that are taken later."""


def _documents() -> Iterator[tuple[str, str]]:
    for path in tracked_files():
        if path.endswith(".md"):
            yield path, (ROOT / path).read_text(encoding="utf-8")


def broken_links(path: str, text: str) -> Iterator[str]:
    """Links to files that do not exist, or to headings that their page does not have."""
    for target, anchor in LINK.findall(text):
        place = (ROOT / path).parent / target
        if not place.exists():
            yield f"{path}: {target}"
        elif anchor and anchor not in _anchors(place):
            yield f"{path}: {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_files(path: str, text: str) -> Iterator[str]:
    """Files and folders that are named and do not exist."""
    for name in NAMED_FILE.findall(text):
        if not (ROOT / name).exists():
            yield f"{path}: {name}"


def unknown_settings(path: str, text: str) -> Iterator[str]:
    """Settings that are named and do not exist."""
    for name in NAMED_SETTING.findall(text):
        if name.lower() not in Settings.model_fields and name not in OF_THE_TESTS:
            yield f"{path}: RECOMPENSE_{name}"


def unknown_commands(path: str, text: str) -> Iterator[str]:
    """Commands that are named and do not exist."""
    known = _commands()
    for area, command in NAMED_COMMAND.findall(text):
        if area not in known or (known[area] and command and command not in known[area]):
            yield f"{path}: recompense {area} {command}".rstrip()


@cache
def _commands() -> dict[str, tuple[str, ...]]:
    """Each area with its commands; a command that stands alone has none."""
    root = typer.main.get_command(app)
    context = typer.Context(root)
    areas = {name: root.get_command(context, name) for name in root.list_commands(context)}  # type: ignore[attr-defined]  # it is a group
    return {
        name: tuple(area.list_commands(context)) if hasattr(area, "list_commands") else ()
        for name, area in areas.items()
    }


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_current(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), (
        f"docs/{name} is made from code that has changed since. Run scripts/generate_docs.py."
    )


def test_links_lead_somewhere() -> None:
    found = [
        broken
        for path, text in _documents()
        if path != TO_BE_WRITTEN
        for broken in broken_links(path, text)
    ]
    report(found, "A reader follows links. Correct the target, or write the page:")


def test_named_files_exist() -> None:
    found = [missing for path, text in _documents() for missing in missing_files(path, text)]
    report(found, "The documentation names a file that has moved or gone. Say where it is now:")


def test_named_settings_exist() -> None:
    found = [unknown for path, text in _documents() for unknown in unknown_settings(path, text)]
    report(found, "The documentation names a setting that nobody reads. Correct its name:")


def test_named_commands_exist() -> None:
    found = [unknown for path, text in _documents() for unknown in unknown_commands(path, text)]
    report(found, "The documentation names a command that does not exist. Say what to type:")


def test_broken_reference_is_found() -> None:
    assert list(broken_links("README.md", "[a](nowhere.md)"))
    assert list(broken_links("README.md", "[a](CONTRIBUTING.md#no-such-heading)"))
    assert not list(broken_links("README.md", "[a](CONTRIBUTING.md#tests)"))
    assert list(missing_files("README.md", "`workflows/nothing.py`"))
    assert list(unknown_commands("README.md", "`recompense sagas forget`"))
    assert list(unknown_commands("README.md", "`recompense forget`"))
    assert not list(unknown_commands("README.md", "recompense sagas list"))
    assert list(unknown_settings("README.md", "RECOMPENSE_NO_SUCH_THING"))
