"""`recompense providers new` writes an adapter that is clean, and whose conformance run says what
to do next.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recompense.ops.new_provider import write_skeleton
from recompense.ops.terminal import WrongUse

ROOT = Path(__file__).parents[2]
LINKED = ("recompense", "activities", "workflows", "api")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The sources that the generator writes into, and links to the rest."""
    for copied in ("adapters", "tests/conformance", "tests/support"):
        shutil.copytree(ROOT / copied, tmp_path / copied)
    for copied_file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / copied_file, tmp_path / copied_file)
    for linked in LINKED:
        (tmp_path / linked).symlink_to(ROOT / linked)
    return tmp_path


def ran(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.parametrize("name", ["acme", "zz_long_name_123"])
def test_skeleton_is_clean(checkout: Path, name: str) -> None:
    skeleton = write_skeleton(name, checkout)
    assert all((checkout / path).is_file() for path in skeleton.files)
    linted = ran(checkout, "ruff", "check", *map(str, skeleton.files))
    assert linted.returncode == 0, linted.stdout
    typed = ran(checkout, "mypy", "--strict", f"adapters/{name}", str(skeleton.files[-2]))
    assert typed.returncode == 0, typed.stdout


def test_conformance_run_of_a_skeleton_fails_with_what_to_do_next(checkout: Path) -> None:
    write_skeleton("acme", checkout)
    run = ran(checkout, "pytest", "-q", "-n0", "-x", "tests/conformance", "-k", "acme")
    assert run.returncode == 1, run.stdout
    assert "adapters/acme/client.py: say with which path and body" in run.stdout
    assert "NotImplementedError" in run.stdout


@pytest.mark.parametrize("name", ["Acme", "a", "class", "../acme", "a" * 17, "sandbox", ""])
def test_impossible_name_is_refused_and_nothing_is_written(checkout: Path, name: str) -> None:
    before = sorted((checkout / "adapters").rglob("*.py"))
    with pytest.raises(WrongUse):
        write_skeleton(name, checkout)
    assert sorted((checkout / "adapters").rglob("*.py")) == before


def test_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="sources"):
        write_skeleton("acme", tmp_path)
