"""What a test does to the workers and the API of a stack: Python imports this at its start, when
the test has put this folder on the path of that stack.

It is no part of what is installed: a worker in production has no such hook at all.
"""

from __future__ import annotations

import os
import sys

if sys.orig_argv[-1].endswith("worker.py"):
    from tests.support import worker_hooks

    worker_hooks.install(os.environ)
elif "api.app:create_app" in sys.orig_argv:
    from tests.support import worker_hooks

    worker_hooks.install_in_api(os.environ)
