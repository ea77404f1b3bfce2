"""What a run of the tests has covered: faults, crash points, reset points, effects, invariants.

Tests and their support say `count(table, row)`. The numbers of all processes come together with the
reports; with `RECOMPENSE_CENSUS` set they are written to that file for `scripts/soak`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

FILE = "RECOMPENSE_CENSUS"
"""The environment variable that names the file to write to."""

SOAK = os.environ.get("RECOMPENSE_SOAK") == "1"
"""Whether tests run at their full size."""

_PROPERTY = "census"
_current: Counter[tuple[str, str]] = Counter()
_total: Counter[tuple[str, str]] = Counter()


def count(table: str, row: str, cases: int = 1) -> None:
    """Note that the present test covered this so many times more."""
    _current[table, row] += cases


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Hand what the test counted to its last report, which xdist carries to the main process."""
    counted = [[table, row, cases] for (table, row), cases in _current.items()]
    _current.clear()
    item.user_properties.append((_PROPERTY, json.dumps(counted)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test's numbers to the whole; a test that failed has proved nothing."""
    if report.failed:
        _total["failures", report.nodeid] += 1
    if report.when == "call":
        _total["tests", report.outcome] += 1
    if report.when != "teardown":
        return
    for name, value in report.user_properties:
        if name == _PROPERTY and isinstance(value, str):
            for table, row, cases in json.loads(value):
                _total[table, row] += cases


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the numbers down, once: where the run was started."""
    path = os.environ.get(FILE)
    if path is None or hasattr(session.config, "workerinput"):
        return
    rows = [[table, row, cases] for (table, row), cases in sorted(_total.items())]
    Path(path).write_text(json.dumps(rows), encoding="utf-8")
