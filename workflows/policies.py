"""How activities are called: options for in-house steps, and a provider's policies as Temporal
understands them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

from recompense.contracts.policies import CallPolicy
from recompense.contracts.sagas import provider_task_queue

IN_HOUSE: dict[str, Any] = {
    # Far below the task timeout, so that a slow database cannot take the workflow task with it.
    "start_to_close_timeout": timedelta(seconds=2),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=100),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=5),
        non_retryable_error_types=["InvariantBroken"],
    ),
}


def provider_call(provider: str, policy: CallPolicy) -> dict[str, Any]:
    """The options of a call to a provider: its own queue, its own timeouts, its own retries.

    A call that moves money is never abandoned half-way: cancellation waits until it has ended.
    """
    return {
        "task_queue": provider_task_queue(provider),
        "start_to_close_timeout": timedelta(seconds=policy.start_to_close_seconds),
        "schedule_to_close_timeout": timedelta(seconds=policy.schedule_to_close_seconds),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(seconds=policy.initial_interval_seconds),
            backoff_coefficient=policy.backoff,
            maximum_interval=timedelta(seconds=policy.maximum_interval_seconds),
            maximum_attempts=policy.maximum_attempts,
            non_retryable_error_types=list(policy.non_retryable_types),
        ),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def bank_files_call(provider: str) -> dict[str, Any]:
    """The options of an exchange of files with a bank: minutes, and safe to repeat."""
    return {
        "task_queue": provider_task_queue(provider),
        "start_to_close_timeout": timedelta(minutes=10),
        "schedule_to_close_timeout": timedelta(minutes=30),
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(seconds=1),
            backoff_coefficient=2,
            maximum_interval=timedelta(minutes=1),
            maximum_attempts=5,
            non_retryable_error_types=["InvariantBroken", "ProviderAccessDenied"],
        ),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }
