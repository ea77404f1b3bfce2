"""What the failure of a series of tries tells the saga."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, FailureError


def reason(failure: ActivityError) -> str:
    """Why a series of tries ended, in the words of the last try."""
    cause: BaseException | None = failure.cause
    while isinstance(cause, FailureError) and cause.cause is not None:
        cause = cause.cause
    return cause.message if isinstance(cause, FailureError) else str(cause or failure)


def was_answered_otherwise(failure: ActivityError) -> bool:
    """Whether the provider said that it had made something, though not what was asked for."""
    cause = failure.cause
    return isinstance(cause, ApplicationError) and cause.type == "ProviderAnswerMismatch"
