"""Merchants, payments and what moves them; operations, the journal, the inbox and the outbox."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MONEY = """
CREATE TABLE merchants (
    id text PRIMARY KEY,
    name text NOT NULL,
    country text NOT NULL,
    payout jsonb NOT NULL,
    fees jsonb NOT NULL,
    availability_rule text NOT NULL
        CHECK (availability_rule IN ('on_settlement', 'on_capture', 'after_days')),
    availability_days integer NOT NULL CHECK (availability_days BETWEEN 0 AND 365),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE payments (
    id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants (id),
    status text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    amount_held bigint NOT NULL DEFAULT 0 CHECK (amount_held BETWEEN 0 AND amount),
    amount_authorized bigint NOT NULL DEFAULT 0 CHECK (amount_authorized BETWEEN 0 AND amount),
    amount_captured bigint NOT NULL DEFAULT 0 CHECK (amount_captured >= 0),
    amount_capture_reserved bigint NOT NULL DEFAULT 0 CHECK (amount_capture_reserved >= 0),
    amount_voided bigint NOT NULL DEFAULT 0 CHECK (amount_voided >= 0),
    amount_refunded bigint NOT NULL DEFAULT 0 CHECK (amount_refunded >= 0),
    amount_refund_reserved bigint NOT NULL DEFAULT 0 CHECK (amount_refund_reserved >= 0),
    amount_fees bigint NOT NULL DEFAULT 0 CHECK (amount_fees BETWEEN 0 AND amount_captured),
    amount_made_available bigint NOT NULL DEFAULT 0 CHECK (amount_made_available >= 0),
    amount_refunded_from_pending bigint NOT NULL DEFAULT 0
        CHECK (amount_refunded_from_pending >= 0),
    void_open boolean NOT NULL DEFAULT false,
    expired boolean NOT NULL DEFAULT false,
    capture_method text NOT NULL CHECK (capture_method IN ('manual', 'automatic')),
    provider text,
    provider_reference text,
    hold_key text,
    reference text,
    description text,
    metadata jsonb NOT NULL,
    failure jsonb,
    next_action jsonb,
    needs_attention boolean NOT NULL DEFAULT false,
    authorization_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT payments_captured_fits CHECK (
        amount_captured + amount_capture_reserved + amount_voided <= amount_authorized),
    CONSTRAINT payments_pending_fits CHECK (
        amount_fees + amount_made_available + amount_refunded_from_pending <= amount_captured),
    CONSTRAINT payments_refunded_fits CHECK (
        amount_refunded + amount_refund_reserved <= amount_captured)
);
CREATE UNIQUE INDEX payments_reference_in_use ON payments (merchant_id, reference)
    WHERE reference IS NOT NULL AND status NOT IN ('declined', 'failed');
CREATE INDEX payments_by_merchant ON payments (merchant_id, id);
CREATE INDEX payments_to_expire ON payments (authorization_expires_at)
    WHERE amount_captured + amount_voided < amount_authorized;

CREATE TABLE captures (
    id text PRIMARY KEY,
    payment_id text NOT NULL REFERENCES payments (id),
    merchant_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL,
    final boolean NOT NULL,
    fee bigint NOT NULL DEFAULT 0 CHECK (fee BETWEEN 0 AND amount),
    amount_refunded bigint NOT NULL DEFAULT 0 CHECK (amount_refunded BETWEEN 0 AND amount),
    provider_reference text,
    failure jsonb,
    available_at timestamptz,
    made_available boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX captures_by_payment ON captures (payment_id, id);
CREATE INDEX captures_to_make_available ON captures (available_at)
    WHERE status = 'succeeded' AND NOT made_available AND available_at IS NOT NULL;

CREATE TABLE voids (
    payment_id text NOT NULL REFERENCES payments (id),
    number integer NOT NULL CHECK (number > 0),
    merchant_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('request', 'expiry')),
    reason text,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (payment_id, number)
);

CREATE TABLE refunds (
    id text PRIMARY KEY,
    payment_id text NOT NULL REFERENCES payments (id),
    merchant_id text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    amount_from_pending bigint NOT NULL DEFAULT 0 CHECK (amount_from_pending BETWEEN 0 AND amount),
    currency text NOT NULL,
    status text NOT NULL,
    reason text,
    provider_reference text,
    hold_key text,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX refunds_by_payment ON refunds (payment_id, id);

CREATE TABLE payouts (
    id text PRIMARY KEY,
    merchant_id text NOT NULL REFERENCES merchants (id),
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    status text NOT NULL,
    destination_token text NOT NULL,
    provider text NOT NULL,
    provider_reference text,
    hold_key text,
    reference text,
    run_id text,
    requested_by text NOT NULL,
    reviewed_by text,
    needs_attention boolean NOT NULL DEFAULT false,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX payouts_reference_in_use ON payouts (merchant_id, reference)
    WHERE reference IS NOT NULL AND status NOT IN ('failed', 'canceled');
CREATE INDEX payouts_by_merchant ON payouts (merchant_id, id);
"""

SAGAS = """
CREATE TABLE operations (
    saga_id text PRIMARY KEY,
    kind text NOT NULL,
    operation_id text NOT NULL,
    payment_id text,
    merchant_id text NOT NULL,
    provider text,
    input jsonb NOT NULL,
    requested_by text NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    attempt_state text NOT NULL
        CHECK (attempt_state IN ('open', 'recorded', 'compensating', 'closed')),
    saga_state text NOT NULL
        CHECK (saga_state IN ('running', 'compensating', 'parked', 'failed', 'done')),
    question text,
    failure jsonb,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX operations_by_payment ON operations (payment_id) WHERE payment_id IS NOT NULL;
CREATE INDEX operations_by_operation ON operations (operation_id);
CREATE INDEX operations_in_trouble ON operations (saga_state, since)
    WHERE saga_state IN ('parked', 'failed', 'compensating');

CREATE TABLE attempts (
    saga_id text NOT NULL REFERENCES operations (saga_id),
    number integer NOT NULL CHECK (number > 0),
    decision jsonb,
    opened_by_run text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    report jsonb,
    PRIMARY KEY (saga_id, number)
);

CREATE TABLE operation_runs (
    saga_id text NOT NULL REFERENCES operations (saga_id),
    run_id text NOT NULL,
    workflow_id text NOT NULL,
    attempt integer NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga_id, run_id)
);

CREATE TABLE journal (
    saga_id text NOT NULL REFERENCES operations (saga_id),
    step text NOT NULL,
    attempt integer NOT NULL,
    leg integer NOT NULL,
    provider text NOT NULL,
    operation_id text NOT NULL,
    effect_key text NOT NULL UNIQUE,
    call jsonb NOT NULL,
    call_digest text NOT NULL,
    right_run_id text,
    right_try integer NOT NULL,
    sendable_until timestamptz,
    first_sent_at timestamptz,
    outcome_kind text,
    outcome jsonb,
    outcome_source text,
    payout_state text,
    final boolean NOT NULL DEFAULT false,
    booked boolean NOT NULL DEFAULT false,
    recorded_at timestamptz,
    calls jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (saga_id, step, attempt, leg),
    CONSTRAINT journal_final_is_final CHECK (
        NOT final OR outcome_kind IN ('approved', 'declined', 'absent'))
);
CREATE INDEX journal_by_operation ON journal (operation_id);

CREATE TABLE orphans (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    saga_id text NOT NULL REFERENCES operations (saga_id),
    step text NOT NULL,
    attempt integer NOT NULL,
    leg integer NOT NULL,
    outcome jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'undone', 'parked')),
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at timestamptz,
    UNIQUE (saga_id, step, attempt, leg)
);

CREATE TABLE provider_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    object_reference text,
    operation_id text,
    effect_key text,
    payload jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('received', 'applied', 'ignored')),
    detail text,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at timestamptz,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX provider_events_to_apply ON provider_events (received_at) WHERE status = 'received';
CREATE INDEX provider_events_by_operation ON provider_events (operation_id);

CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    type text NOT NULL,
    merchant_id text,
    payment_id text,
    data jsonb NOT NULL,
    created xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX events_by_merchant ON events (merchant_id, seq);
CREATE INDEX events_by_payment ON events (payment_id, seq) WHERE payment_id IS NOT NULL;

CREATE TABLE breakers (
    provider text NOT NULL,
    operation_class text NOT NULL,
    phase text NOT NULL,
    failures integer NOT NULL DEFAULT 0,
    probes integer NOT NULL DEFAULT 0,
    probe_at timestamptz,
    PRIMARY KEY (provider, operation_class)
);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    reason text,
    details jsonb NOT NULL
);
CREATE INDEX audit_log_by_target ON audit_log (target, id);
"""

PRIVILEGES = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT, UPDATE ON merchants, payments, captures, voids, refunds, payouts,
            operations, attempts, operation_runs, journal, orphans, provider_events, breakers
            TO recompense_app;
        GRANT SELECT, INSERT ON events, audit_log TO recompense_app;
    END IF;
END
$$;
"""

TABLES = (
    "breakers, audit_log, events, provider_events, orphans, journal, operation_runs, attempts, "
    "operations, payouts, refunds, voids, captures, payments, merchants"
)


def upgrade() -> None:
    """Create the tables, and grant the application what it needs of them: it deletes nothing."""
    op.execute(MONEY)
    op.execute(SAGAS)
    op.execute(PRIVILEGES)


def downgrade() -> None:
    """Drop the tables with all that is in them."""
    op.execute(f"DROP TABLE {TABLES}")
