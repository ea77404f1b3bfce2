"""What this process logs while a test runs."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """All that was logged so far, by us and by libraries.

    Not by pytest's own capture: it closes its stream, and the API's thread may still write to it.
    """
    kept = io.StringIO()
    before = structlog.get_config()
    structlog.configure(**{**before, "logger_factory": structlog.PrintLoggerFactory(kept)})
    handler = logging.StreamHandler(kept)
    logging.getLogger().addHandler(handler)
    yield kept.getvalue
    logging.getLogger().removeHandler(handler)
    structlog.configure(**before)
