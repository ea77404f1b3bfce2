"""Every tier takes part in the census of what a run has covered."""

from __future__ import annotations

from tests.support.census import (
    pytest_runtest_logreport,
    pytest_runtest_teardown,
    pytest_sessionfinish,
)

__all__ = ["pytest_runtest_logreport", "pytest_runtest_teardown", "pytest_sessionfinish"]
