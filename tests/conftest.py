"""Every tier takes part in the census of what a run has covered, and in the conformance table, and
may read what was logged.
"""

from __future__ import annotations

from tests.support.census import (
    pytest_runtest_logreport,
    pytest_runtest_teardown,
    pytest_sessionfinish,
)
from tests.support.conformance_table import pytest_addoption, pytest_configure
from tests.support.logs import logged

__all__ = [
    "logged",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_logreport",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
]
