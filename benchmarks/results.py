"""The results of a run: kept as JSON, with the machine that they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bars import FIGURES, Reading

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"
PACKAGES = ("temporalio", "fastapi", "uvicorn", "psycopg", "sqlalchemy", "pydantic", "dbos")


class NoSuchResult(ValueError):
    """There is no result of that name, or not two to compare."""


@dataclass(frozen=True)
class Result:
    """One run. `series` holds what the plots are drawn from and what explains a figure."""

    name: str
    started_at: str
    machine: dict[str, Any]
    readings: list[Reading] = field(default_factory=list)
    series: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.name}.json"

    def beside(self, name: str) -> Path:
        """A file that belongs to this result: a plot, a profile."""
        folder = FOLDER / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def save(self) -> None:
        """Write it. Call it after each part: a run that is cut off keeps what it has."""
        FOLDER.mkdir(exist_ok=True)
        self.file.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def reading(self, key: str) -> Reading | None:
        """One figure, if this run has it."""
        return next((found for found in self.readings if found.key == key), None)


def new_result(parts: Sequence[str]) -> Result:
    """An empty result, named for now and for the commit."""
    now = datetime.now(UTC)
    machine = describe_machine() | {"parts": list(parts)}
    return Result(f"{now:%Y%m%dT%H%M%SZ}-{machine['commit'][:8]}", now.isoformat(), machine)


def load(name: str) -> Result:
    """The result of that name.

    Raises:
        NoSuchResult: there is none.
    """
    file = FOLDER / f"{name.removesuffix('.json')}.json"
    if not file.is_file():
        raise NoSuchResult(f"no result {name!r} in {FOLDER.name}; there are: {', '.join(names())}")
    found = json.loads(file.read_text(encoding="utf-8"))
    readings = [Reading(**one) for one in found.pop("readings") if one["key"] in FIGURES]
    return Result(**found, readings=readings)


def names() -> list[str]:
    """The results that are kept, oldest first."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


def two(given: Sequence[str]) -> tuple[Result, Result]:
    """The two results to compare: those that are named, or the last two.

    Raises:
        NoSuchResult: there are no two.
    """
    chosen = list(given) or names()[-2:]
    if len(chosen) != 2:
        raise NoSuchResult("two results are needed: run `make bench` twice, or name two")
    return load(chosen[0]), load(chosen[1])


def describe_machine() -> dict[str, Any]:
    """Cores, memory, versions and the commit; no name and no path of the machine."""
    return {
        "cores": os.cpu_count(),
        "memory_gigabytes": round(psutil.virtual_memory().total / 2**30, 1),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "load_average": os.getloadavg()[0],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ImportError:
        return None


def _cpu_name() -> str:
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    named = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return named[0] if named else platform.machine()


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    return done.stdout.strip() or "unknown"
