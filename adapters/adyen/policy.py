"""What Adyen can do, and how patiently it is called."""

from __future__ import annotations

from recompense.contracts.policies import BreakerPolicy, CallPolicy, PendingPolicy, ProviderPolicies
from recompense.contracts.provider import Capabilities, ProviderOperation, ReportFormat

_DAY_SECONDS = 86_400
_NEVER_SECONDS = 3650 * _DAY_SECONDS

CAPABILITIES = Capabilities(
    # A transfer that was sent is not taken back.
    operations=frozenset(ProviderOperation) - {ProviderOperation.CANCEL_PAYOUT},
    # The account must have multiple partial captures: docs/providers/adyen.md.
    partial_capture=True,
    multiple_capture=True,
    partial_refund=True,
    void_after_partial_capture=True,
    batch_payouts=False,
    # By our effect key, among the notifications that are stored.
    lookup_by_reference=True,
    truth_by_webhook=True,
    native_idempotency=True,
    authorization_validity_seconds=7 * _DAY_SECONDS,
    currencies=None,
    settlement_report=ReportFormat.CSV,
    webhook_events=frozenset(
        {
            "AUTHORISATION",
            "CANCELLATION",
            "CAPTURE",
            "CAPTURE_FAILED",
            "EXPIRE",
            "OFFER_CLOSED",
            "PENDING",
            "REFUND",
            "REFUNDED_REVERSED",
            "REFUND_FAILED",
            "TECHNICAL_CANCEL",
            "transfer.authorised",
            "transfer.booked",
            "transfer.cancelled",
            "transfer.failed",
            "transfer.received",
            "transfer.refused",
            "transfer.returned",
        }
    ),
    webhook_answer="[accepted]",
)

# A lost answer is learnt by sending the same key again, so the tries go on for long.
_MONEY = CallPolicy(
    connect_timeout_seconds=3,
    read_timeout_seconds=30,
    start_to_close_seconds=40,
    schedule_to_close_seconds=600,
    initial_interval_seconds=1,
    maximum_interval_seconds=60,
    backoff=2,
    maximum_attempts=12,
    retry_after_cap_seconds=60,
)
# Reads the notifications that are stored: nothing is called.
_LOOKUP = CallPolicy(
    connect_timeout_seconds=1,
    read_timeout_seconds=2,
    start_to_close_seconds=10,
    schedule_to_close_seconds=120,
    initial_interval_seconds=1,
    maximum_interval_seconds=30,
    backoff=2,
    maximum_attempts=8,
)
_REPORT = CallPolicy(
    connect_timeout_seconds=3,
    read_timeout_seconds=60,
    start_to_close_seconds=1800,
    schedule_to_close_seconds=7200,
    initial_interval_seconds=30,
    maximum_interval_seconds=900,
    backoff=2,
    maximum_attempts=10,
)
_READS = {ProviderOperation.LOOKUP: _LOOKUP, ProviderOperation.REPORT: _REPORT}
_PENDING = PendingPolicy(
    poll_interval_seconds=30,
    maximum_poll_interval_seconds=3600,
    deadline_seconds=3 * _DAY_SECONDS,
    action_poll_interval_seconds=60,
    action_deadline_seconds=3600,
)

# Of the operation that is not offered too: a compensation asks for it, and is refused.
POLICIES = ProviderPolicies(
    calls={operation: _READS.get(operation, _MONEY) for operation in ProviderOperation},
    pending={operation: _PENDING for operation in ProviderOperation if operation not in _READS},
    send_right_seconds=10,
    clock_skew_seconds=1,
    # That no notification came proves nothing: absence is never final, and a person is asked.
    absent_is_final_after_seconds=_NEVER_SECONDS,
    # Adyen has documented a week and a month as the least: this is within either.
    idempotency_window_seconds=6 * _DAY_SECONDS,
    rate_limit_per_second=None,
    maximum_concurrency=50,
    breaker=BreakerPolicy(failure_threshold=10, recovery_seconds=30, half_open_probes=2),
)
