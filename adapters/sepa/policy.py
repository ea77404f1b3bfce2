"""What the bank rail can do, and how patiently it is waited for: days, not seconds."""

from __future__ import annotations

from recompense.contracts.policies import BreakerPolicy, CallPolicy, PendingPolicy, ProviderPolicies
from recompense.contracts.provider import Capabilities, ProviderOperation, ReportFormat

_DAY_SECONDS = 86_400

CAPABILITIES = Capabilities(
    operations=frozenset(
        {
            ProviderOperation.CREATE_PAYOUT,
            ProviderOperation.CANCEL_PAYOUT,
            ProviderOperation.LOOKUP,
            ProviderOperation.REPORT,
        }
    ),
    partial_capture=False,
    multiple_capture=False,
    partial_refund=False,
    void_after_partial_capture=False,
    batch_payouts=True,
    lookup_by_reference=False,
    native_idempotency=False,
    authorization_validity_seconds=0,
    currencies=frozenset({"EUR"}),
    settlement_report=ReportFormat.CAMT_053,
)

_INSTRUCTION = CallPolicy(
    connect_timeout_seconds=1,
    read_timeout_seconds=2,
    start_to_close_seconds=6,
    schedule_to_close_seconds=60,
    initial_interval_seconds=0.25,
    maximum_interval_seconds=5,
    backoff=2,
    maximum_attempts=10,
)
_FILES = CallPolicy(
    connect_timeout_seconds=10,
    read_timeout_seconds=60,
    start_to_close_seconds=300,
    schedule_to_close_seconds=900,
    initial_interval_seconds=1,
    maximum_interval_seconds=60,
    backoff=2,
    maximum_attempts=10,
)
_CALLS = {
    ProviderOperation.CREATE_PAYOUT: _INSTRUCTION,
    ProviderOperation.CANCEL_PAYOUT: _INSTRUCTION,
    ProviderOperation.LOOKUP: _INSTRUCTION,
    ProviderOperation.REPORT: _FILES,
}
# A return comes within three banking days (SCT Rulebook, 4.3.2.3): a weekend and a holiday more,
# and a person is asked.
_PENDING = PendingPolicy(
    poll_interval_seconds=900,
    maximum_poll_interval_seconds=3600,
    deadline_seconds=7 * _DAY_SECONDS,
)

POLICIES = ProviderPolicies(
    calls=_CALLS,
    pending={
        ProviderOperation.CREATE_PAYOUT: _PENDING,
        ProviderOperation.CANCEL_PAYOUT: _PENDING,
    },
    send_right_seconds=3,
    clock_skew_seconds=0.5,
    # An instruction is collected in our own database, under the journal row's lock: what is not
    # there when the send right has passed never comes.
    absent_is_final_after_seconds=0,
    # The instruction is unique on its effect key for ever.
    idempotency_window_seconds=365 * _DAY_SECONDS,
    maximum_concurrency=20,
    breaker=BreakerPolicy(failure_threshold=20, recovery_seconds=30, half_open_probes=2),
)
