"""What `recompense stack up` was told, in a form that can be handed to another process."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

PYTHON = (sys.executable, "-P")
"""This interpreter; with `-P` a module is never looked for in the caller's directory."""


@dataclass(frozen=True)
class StackOptions:
    """What `recompense stack up` was told. `without` names parts that somebody else runs."""

    data_dir: Path
    port_base: int | None = None
    workers: int | None = None
    restart: bool = True
    without: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The same options as a command line."""
        arguments = ["--data-dir", str(self.data_dir)]
        for name in ("port_base", "workers"):
            value = getattr(self, name)
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", str(value)]
        if not self.restart:
            arguments.append("--no-restart")
        for group in self.without:
            arguments += ["--without", group]
        return arguments
