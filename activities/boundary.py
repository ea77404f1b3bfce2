"""Where our failures become Temporal's: the one translation between the two, for every activity.

The types are what retry policies and workflows look at. Messages of the database are left out: they
may quote values.
"""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from recompense.domain.failures import (
    InvariantBroken,
    OutcomeUnknown,
    ProviderAccessDenied,
    ProviderUnavailable,
    RecompenseError,
)

_FINAL = (InvariantBroken, ProviderAccessDenied)


def as_application_error(failure: Exception) -> ApplicationError | None:
    """Translate a failure that we know; None: let it pass as it is, a defect that Temporal shows
    and retries.
    """
    if isinstance(failure, ApplicationError):
        return failure
    if isinstance(failure, SQLAlchemyError):
        return ApplicationError(
            f"The database did not do it ({type(failure).__name__}).", type="DatabaseUnavailable"
        )
    if isinstance(failure, ProviderUnavailable | OutcomeUnknown | RecompenseError):
        return ApplicationError(
            str(failure), type=type(failure).__name__, non_retryable=isinstance(failure, _FINAL)
        )
    return None


class _Boundary(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> object:
        try:
            return await super().execute_activity(input)
        except Exception as failure:
            translated = as_application_error(failure)
            if translated is None or translated is failure:
                raise
            raise translated from None


class FailureBoundary(Interceptor):
    """The worker interceptor that translates."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wrap the next interceptor."""
        return _Boundary(next)
