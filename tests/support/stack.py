"""A whole embedded stack in a directory of its own, driven by the `recompense` command."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recompense.stack.ports import PARTS, is_free

COMMAND_SECONDS = 180
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class TestStack:
    """One data directory, its ports, and the settings it is started with."""

    __test__ = False

    data_dir: Path
    port_base: int
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """`recompense stack <arguments>` for this stack; never raises for its exit status."""
        return self.command("stack", *arguments, timeout=timeout)

    def command(
        self, *arguments: str, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """`recompense <arguments>` for this stack; never raises for its exit status."""
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RECOMPENSE_", "TEMPORAL_"))
        }
        return subprocess.run(
            [sys.executable, "-m", "recompense.ops.cli", *arguments],
            env={**outside, **self.settings, "RECOMPENSE_DATA_DIR": str(self.data_dir)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self, *arguments: str) -> dict[str, Any]:
        """Start the stack; what `stack.json` says then."""
        done = self.run("up", "--port-base", str(self.port_base), *arguments)
        assert done.returncode == 0, done.stderr
        return self.file()

    def file(self) -> dict[str, Any]:
        """`stack.json`, as any program would read it."""
        found: dict[str, Any] = json.loads((self.data_dir / "stack.json").read_text())
        return found

    def status(self) -> dict[str, Any]:
        """`stack status --json`."""
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found


def free_port_base() -> int:
    """The first of enough free ports in a row, below those of outgoing connections."""
    while True:
        base = random.randrange(20_000, 32_000)  # noqa: S311 - any will do
        if all(is_free(base + offset) for offset in range(len(PARTS))):
            return base


@contextmanager
def stack_of_its_own(
    settings: Mapping[str, str] | None = None, *, port_base: int | None = None
) -> Iterator[TestStack]:
    """A stack to be started by the test; it is taken down whatever happens.

    Not in pytest's own temporary folder: every run of pytest shuts that to other users again, and
    PostgreSQL, which does not run as root, would lose its files.
    """
    with tempfile.TemporaryDirectory(prefix="recompense-stack-") as folder:
        stack = TestStack(Path(folder) / "data", port_base or free_port_base(), settings or {})
        try:
            yield stack
        finally:
            stack.run("down")


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it did not within a minute.
    """
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, f"this did not come true: {what}"
        time.sleep(0.1)
