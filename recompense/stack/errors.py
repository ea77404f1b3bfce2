"""What can go wrong with a stack, in words for the person at the terminal."""

from __future__ import annotations

from pathlib import Path

OK = 0
NOT_IN_ORDER = 1
WRONG_USE = 2
UNREACHABLE = 3


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do about it."""

    exit_status = UNREACHABLE


class WrongUse(StackError):
    """The command was given something that cannot work."""

    exit_status = WRONG_USE


class PartFailed(StackError):
    """A part did not come up, or does not answer at its address."""

    def __init__(self, part: str, message: str, log: Path | None = None) -> None:
        super().__init__(f"{part}: {message}")
        self.part = part
        self.log = log
