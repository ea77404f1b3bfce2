"""PostgreSQL's plans as JSON: their nodes, and how much each of them has read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan's node, and all below it."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def rows_read(node: dict[str, Any]) -> float:
    """How many rows a node has read in all its loops, those that its filter removed included."""
    each: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: float = node["Actual Loops"]
    return each * loops
