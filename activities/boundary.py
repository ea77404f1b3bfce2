"""Where our failures become Temporal's: the one translation between the two, for every activity.

The types are what retry policies and workflows look at. Messages of the database are left out: they
may quote values.
"""

from __future__ import annotations

import random
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from recompense.contracts.policies import CallPolicy
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


def failed_try(
    failure: ProviderUnavailable | OutcomeUnknown, policy: CallPolicy
) -> ApplicationError:
    """The failure of a try, with full jitter over the policy's backoff, or the wait that the
    provider asked for.
    """
    asked = failure.retry_after_seconds if isinstance(failure, ProviderUnavailable) else None
    if asked is not None:
        return try_again(failure, min(asked, policy.retry_after_cap_seconds))
    tries = activity.info().attempt
    ceiling = min(
        policy.maximum_interval_seconds,
        policy.initial_interval_seconds * policy.backoff ** (tries - 1),
    )
    return try_again(failure, random.uniform(ceiling / 10, ceiling))  # noqa: S311 - jitter is no secret


def try_again(
    failure: ProviderUnavailable | OutcomeUnknown, after_seconds: float | None
) -> ApplicationError:
    """The failure of a try, and when the next one comes; None: by the retry policy."""
    delay = None if after_seconds is None else timedelta(seconds=after_seconds)
    return ApplicationError(
        str(failure),
        type=type(failure).__name__,
        next_retry_delay=delay,
        # A try that got no answer is expected here and is told by the journal, not by a traceback.
        category=ApplicationErrorCategory.BENIGN,
    )
