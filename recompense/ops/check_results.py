"""What a check of a provider comes to: the rows of its table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from recompense.domain.failures import RecompenseError

Check = Callable[[], Awaitable[str | None]]
"""Holds, and may say what was seen; or raises."""


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    WRONG = "wrong"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class CheckResult:
    """One row of the table: what must hold, whether it does, and what was seen, or why it is not
    asked.
    """

    name: str
    verdict: Verdict
    seen: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong here."""
        return self.verdict is not Verdict.WRONG


class Unexpected(Exception):
    """The provider did something else than the check demands."""


class NotAsked(Exception):
    """This provider cannot be asked that; the message says why."""


def expect(holds: bool, seen: str) -> None:
    """Raise `Unexpected` with what was seen, unless it holds."""
    if not holds:
        raise Unexpected(seen)


async def result_of(name: str, check: Check) -> CheckResult:
    """Run one check. Raises nothing that a provider can cause."""
    try:
        seen = await check()
    except NotAsked as reason:
        return CheckResult(name, Verdict.NOT_APPLICABLE, str(reason))
    except Unexpected as unexpected:
        return CheckResult(name, Verdict.WRONG, str(unexpected))
    except RecompenseError as failure:
        return CheckResult(name, Verdict.WRONG, f"{type(failure).__name__}: {failure}")
    except NotImplementedError as missing:
        return CheckResult(name, Verdict.WRONG, f"to do: {missing}")
    return CheckResult(name, Verdict.OK, seen or "")
