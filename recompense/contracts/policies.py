"""The policies of a provider, as data: how it is called, retried, asked again, and when it is left
alone.

All durations are seconds. What cannot work is refused when it is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from recompense.contracts.provider import Frozen, ProviderOperation


class CallPolicy(Frozen):
    """The retry and timeout policy of one operation at one provider. All durations are seconds."""

    connect_timeout_seconds: float = Field(gt=0)
    read_timeout_seconds: float = Field(gt=0)
    start_to_close_seconds: float = Field(gt=0)
    schedule_to_close_seconds: float = Field(gt=0)
    initial_interval_seconds: float = Field(gt=0)
    maximum_interval_seconds: float = Field(gt=0)
    backoff: float = Field(ge=1)
    maximum_attempts: int = Field(ge=1)
    non_retryable_types: tuple[str, ...] = (
        "ProviderAccessDenied",
        "ProviderAnswerMismatch",
        "InvariantBroken",
    )
    retry_after_cap_seconds: float = Field(default=30, ge=0)

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.connect_timeout_seconds + self.read_timeout_seconds >= self.start_to_close_seconds:
            raise ValueError(
                "connect and read timeout together must be shorter than start_to_close"
            )
        if self.start_to_close_seconds > self.schedule_to_close_seconds:
            raise ValueError("start_to_close must fit into schedule_to_close")
        if self.initial_interval_seconds > self.maximum_interval_seconds:
            raise ValueError("the first retry interval must not exceed the maximum interval")
        return self


class PendingPolicy(Frozen):
    """How a `Pending` outcome is asked for again while no webhook tells it, and until when.

    A payer who has to do something has `action_deadline_seconds`, and is asked after at leisure.
    """

    poll_interval_seconds: float = Field(gt=0)
    maximum_poll_interval_seconds: float = Field(gt=0)
    deadline_seconds: float = Field(gt=0)
    action_poll_interval_seconds: float = Field(default=15, gt=0)
    action_deadline_seconds: float = Field(default=900, gt=0)


class BreakerPolicy(Frozen):
    """When the circuit breaker of one operation class opens, and how soon it probes again."""

    failure_threshold: int = Field(ge=1)
    recovery_seconds: float = Field(gt=0)
    half_open_probes: int = Field(default=1, ge=1)


class ProviderPolicies(Frozen):
    """All policies of one provider: the data that `GET /v1/providers` shows and that each saga
    carries in its history.
    """

    calls: Mapping[ProviderOperation, CallPolicy]
    pending: Mapping[ProviderOperation, PendingPolicy]
    send_right_seconds: float = Field(gt=0, description="how long a granted send right may be used")
    clock_skew_seconds: float = Field(
        default=1.0,
        ge=0,
        description="how far workers' clocks may differ; another sender waits this much longer",
    )
    absent_is_final_after_seconds: float = Field(ge=0)
    idempotency_window_seconds: float = Field(ge=0)
    rate_limit_per_second: float | None = Field(default=None, gt=0)
    maximum_concurrency: int = Field(default=100, ge=1)
    breaker: BreakerPolicy

    @model_validator(mode="after")
    def _horizon_fits_the_window(self) -> Self:
        for operation, call in self.calls.items():
            can_look_up = ProviderOperation.LOOKUP in self.calls
            if call.schedule_to_close_seconds > self.idempotency_window_seconds and not can_look_up:
                raise ValueError(
                    f"{operation} retries beyond the idempotency window and cannot look up"
                )
        return self
