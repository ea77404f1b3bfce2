"""What a Stripe account can do, and how patiently it is called."""

from __future__ import annotations

from adapters.stripe.amounts import CURRENCIES
from adapters.stripe.config import StripeConfig
from recompense.contracts.policies import BreakerPolicy, CallPolicy, PendingPolicy, ProviderPolicies
from recompense.contracts.provider import Capabilities, ProviderOperation, ReportFormat

_HOUR_SECONDS = 3_600
_DAY_SECONDS = 86_400

CAPABILITIES = Capabilities(
    operations=frozenset(ProviderOperation),
    partial_capture=True,
    multiple_capture=False,
    partial_refund=True,
    void_after_partial_capture=False,
    lookup_by_reference=True,
    native_idempotency=True,
    authorization_validity_seconds=7 * _DAY_SECONDS,
    currencies=CURRENCIES,
    settlement_report=ReportFormat.NDJSON,
    webhook_events=frozenset(
        {
            "payment_intent.amount_capturable_updated",
            "payment_intent.canceled",
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
            "refund.failed",
            "refund.updated",
            "payout.canceled",
            "payout.failed",
            "payout.paid",
            "payout.updated",
            "transfer.reversed",
        }
    ),
)


def capabilities_of(config: StripeConfig) -> Capabilities:
    """What this account can do."""
    return CAPABILITIES.model_copy(update={"multiple_capture": config.multiple_capture})


def _call(start_to_close_seconds: float) -> CallPolicy:
    return CallPolicy(
        connect_timeout_seconds=3,
        read_timeout_seconds=20,
        start_to_close_seconds=start_to_close_seconds,
        schedule_to_close_seconds=600,
        initial_interval_seconds=0.5,
        maximum_interval_seconds=30,
        backoff=2,
        maximum_attempts=8,
    )


_SINGLE = _call(30)
_SEVERAL = _call(120)
"""A look-up reads pages; a void and a cancellation read, mark and cancel; a refused capture or
refund is read again."""
_REPORT = CallPolicy(
    connect_timeout_seconds=3,
    read_timeout_seconds=30,
    start_to_close_seconds=3 * _HOUR_SECONDS,
    schedule_to_close_seconds=12 * _HOUR_SECONDS,
    initial_interval_seconds=5,
    maximum_interval_seconds=300,
    backoff=2,
    maximum_attempts=10,
)
_CALLS = {
    ProviderOperation.AUTHORIZE: _SINGLE,
    ProviderOperation.CREATE_PAYOUT: _SINGLE,
    ProviderOperation.REPORT: _REPORT,
}
_MINUTES = PendingPolicy(
    poll_interval_seconds=5, maximum_poll_interval_seconds=300, deadline_seconds=_HOUR_SECONDS
)
_DAYS = PendingPolicy(
    poll_interval_seconds=60,
    maximum_poll_interval_seconds=_HOUR_SECONDS,
    deadline_seconds=10 * _DAY_SECONDS,
)
_SLOW = {ProviderOperation.REFUND, ProviderOperation.CREATE_PAYOUT}
_READS = {ProviderOperation.LOOKUP, ProviderOperation.REPORT}

POLICIES = ProviderPolicies(
    calls={operation: _CALLS.get(operation, _SEVERAL) for operation in ProviderOperation},
    pending={
        operation: _DAYS if operation in _SLOW else _MINUTES
        for operation in ProviderOperation
        if operation not in _READS
    },
    send_right_seconds=10,
    # Stripe documents that its search may be an hour behind during an outage, and captures and
    # voids of older payments are found by search alone.
    absent_is_final_after_seconds=_HOUR_SECONDS + 300,
    # Stripe keeps an idempotency key for at least 24 hours.
    idempotency_window_seconds=_DAY_SECONDS - 300,
    rate_limit_per_second=80,
    maximum_concurrency=50,
    breaker=BreakerPolicy(failure_threshold=10, recovery_seconds=15, half_open_probes=2),
)
