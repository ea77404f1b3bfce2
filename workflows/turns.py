"""What may turn a saga off its forward path.

These never leave a saga: `Saga.carry` handles them all.
"""

from __future__ import annotations

from recompense.contracts.sagas import Verdict
from recompense.contracts.steps import UndoCause


class Turn(Exception):
    """A step found that this run has to go on in another way."""

    def __init__(self, verdict: Verdict, attempt: int) -> None:
        super().__init__(verdict)
        self.verdict = verdict
        self.attempt = attempt


class TakeBack(Exception):
    """The forward path cannot go on, and everything that is known to have happened has to be
    undone.
    """

    def __init__(self, cause: UndoCause) -> None:
        super().__init__(cause.code)
        self.cause = cause


def never_happened(provider: str, what: str) -> TakeBack:
    """The provider could not be reached for so long that the try is given up; a look-up proved that
    nothing happened.
    """
    return TakeBack(
        UndoCause(
            code="provider_unavailable",
            message=f"{provider} could not be reached in time, and nothing was {what}.",
        )
    )


def canceled(final_status: str | None = None) -> TakeBack:
    """Somebody canceled the workflow in Temporal: what was done is taken back."""
    return TakeBack(
        UndoCause(
            code="canceled",
            message="It was canceled by an operator.",
            final_status=final_status,
        )
    )
