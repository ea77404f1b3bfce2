"""The runner: what is kept of a part that failed."""

from __future__ import annotations

import asyncio

from benchmarks.runner import OF_ANOTHER, PARTS, reason


def test_reason_is_that_of_the_innermost_failure() -> None:
    inner = RuntimeError("declined\nand more")
    assert reason(ExceptionGroup("a", [ExceptionGroup("b", [inner])])) == "RuntimeError: declined"


def test_reason_names_no_folder_of_this_machine() -> None:
    error = FileNotFoundError("no file '/some/place/of/mine/stack.json' at http://127.0.0.1:80/x")
    assert reason(error) == "FileNotFoundError: no file 'stack.json' at http://127.0.0.1:80/x"


def test_every_part_can_be_awaited_and_pieces_are_parts() -> None:
    assert all(asyncio.iscoroutinefunction(measure) for measure in PARTS.values())
    assert PARTS.keys() >= OF_ANOTHER
