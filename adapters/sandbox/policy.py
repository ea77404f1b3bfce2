"""What the sandbox can do, and how patiently it is called.

The policies are short on purpose: a person who arms a lasting fault sees the saga fail or park
within a minute.
"""

from __future__ import annotations

from recompense.contracts.policies import BreakerPolicy, CallPolicy, PendingPolicy, ProviderPolicies
from recompense.contracts.provider import (
    Capabilities,
    ProviderOperation,
    ReportFormat,
)

_DAY_SECONDS = 86_400

CAPABILITIES = Capabilities(
    operations=frozenset(ProviderOperation),
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    void_after_partial_capture=True,
    batch_payouts=False,
    lookup_by_reference=True,
    native_idempotency=True,
    authorization_validity_seconds=7 * _DAY_SECONDS,
    currencies=None,
    settlement_report=ReportFormat.CSV,
    webhook_events=frozenset(
        {
            "authorization.authorized",
            "authorization.declined",
            "capture.succeeded",
            "void.succeeded",
            "refund.succeeded",
            "payout.in_transit",
            "payout.paid",
            "payout.returned",
            "payout_cancellation.succeeded",
            "payout_cancellation.declined",
        }
    ),
)

_MONEY = CallPolicy(
    connect_timeout_seconds=1,
    read_timeout_seconds=2,
    start_to_close_seconds=6,
    schedule_to_close_seconds=25,
    initial_interval_seconds=0.25,
    maximum_interval_seconds=2,
    backoff=2,
    maximum_attempts=5,
    retry_after_cap_seconds=2,
)
_LOOKUP = CallPolicy(
    connect_timeout_seconds=1,
    read_timeout_seconds=2,
    start_to_close_seconds=4,
    schedule_to_close_seconds=12,
    initial_interval_seconds=0.25,
    maximum_interval_seconds=2,
    backoff=2,
    maximum_attempts=8,
    retry_after_cap_seconds=2,
)
_REPORT = CallPolicy(
    connect_timeout_seconds=2,
    read_timeout_seconds=10,
    start_to_close_seconds=300,
    schedule_to_close_seconds=900,
    initial_interval_seconds=1,
    maximum_interval_seconds=30,
    backoff=2,
    maximum_attempts=10,
)
_READS = {ProviderOperation.LOOKUP: _LOOKUP, ProviderOperation.REPORT: _REPORT}
_PENDING = PendingPolicy(
    poll_interval_seconds=3, maximum_poll_interval_seconds=5, deadline_seconds=40
)

POLICIES = ProviderPolicies(
    calls={operation: _READS.get(operation, _MONEY) for operation in ProviderOperation},
    pending={operation: _PENDING for operation in ProviderOperation if operation not in _READS},
    send_right_seconds=3,
    clock_skew_seconds=0.5,
    absent_is_final_after_seconds=5,
    idempotency_window_seconds=_DAY_SECONDS,
    rate_limit_per_second=None,
    maximum_concurrency=100,
    # Late to open: a handful of scripted faults must play out in their own saga and not stop
    # everyone else's.
    breaker=BreakerPolicy(failure_threshold=20, recovery_seconds=4, half_open_probes=2),
)
