"""The plots, as SVG files beside the result."""

from __future__ import annotations

from benchmarks.results import Result


def draw(result: Result) -> None:
    """Draw what the result has series for."""
