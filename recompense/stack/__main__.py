"""`python -m recompense.stack`: the supervisor behind `recompense stack up`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recompense.stack.options import StackOptions
from recompense.stack.serve import supervise


def main() -> int:
    """Run the stack described on the command line; the exit status says how it ended."""
    parser = argparse.ArgumentParser(prog="python -m recompense.stack")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port-base", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-restart", action="store_true")
    parser.add_argument("--without", action="append", default=[])
    given = parser.parse_args()
    return supervise(
        StackOptions(
            data_dir=given.data_dir,
            port_base=given.port_base,
            workers=given.workers,
            restart=not given.no_restart,
            without=tuple(given.without),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
