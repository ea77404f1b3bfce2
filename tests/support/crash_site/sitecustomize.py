"""Arms the crash points of a worker: Python imports this at its start, when a test has put this
folder on the path of a stack.

It is no part of what is installed: a worker in production has no such hook at all.
"""

from __future__ import annotations

import os
import sys

if "RECOMPENSE_CRASH_POINT" in os.environ and sys.orig_argv[-1].endswith("worker.py"):
    from tests.support import crash_points

    crash_points.install(os.environ["RECOMPENSE_CRASH_POINT"])
