"""Payout runs and their items."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE payout_run_days (
    name text NOT NULL,
    business_date date NOT NULL,
    scope text NOT NULL CHECK (scope IN ('all', 'one')),
    PRIMARY KEY (name, business_date),
    UNIQUE (name, business_date, scope)
);

-- The foreign key makes a run of all currencies and one of a single currency exclude each other.
CREATE TABLE payout_runs (
    id text PRIMARY KEY,
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,40}$'),
    business_date date NOT NULL,
    currency text,
    scope text NOT NULL CHECK (scope = CASE WHEN currency IS NULL THEN 'all' ELSE 'one' END),
    status text NOT NULL CHECK (status IN ('building', 'awaiting_approval', 'running', 'completed',
        'completed_with_failures', 'rejected')),
    fired_at timestamptz,
    frozen_to text,
    items_count integer NOT NULL DEFAULT 0 CHECK (items_count >= 0),
    amount_total jsonb NOT NULL,
    created_by text NOT NULL,
    reviewed_by text CHECK (reviewed_by <> created_by OR status = 'rejected'),
    review_key text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (name, business_date, currency),
    FOREIGN KEY (name, business_date, scope)
        REFERENCES payout_run_days (name, business_date, scope)
);

CREATE TABLE payout_run_items (
    id text PRIMARY KEY,
    run_id text NOT NULL REFERENCES payout_runs (id),
    merchant_id text NOT NULL REFERENCES merchants (id),
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount BETWEEN 1 AND 999999999999),
    state text NOT NULL CHECK (state IN ('ready', 'started', 'settled', 'failed', 'rejected')),
    payout_id text NOT NULL UNIQUE,
    again boolean NOT NULL DEFAULT false,
    attempts_before integer NOT NULL DEFAULT 0 CHECK (attempts_before >= 0),
    token text,
    failure jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (run_id, merchant_id, currency)
);
CREATE INDEX payout_run_items_by_run ON payout_run_items (run_id, id);
CREATE INDEX payout_run_items_open ON payout_run_items (run_id, state, id)
    WHERE state IN ('ready', 'started');
CREATE INDEX payout_run_items_promised ON payout_run_items (merchant_id, currency)
    WHERE state IN ('ready', 'started');
CREATE INDEX merchants_by_payout_schedule ON merchants ((payout ->> 'schedule'), id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'recompense_app') THEN
        GRANT SELECT, INSERT ON payout_run_days TO recompense_app;
        GRANT SELECT, INSERT, UPDATE ON payout_runs, payout_run_items TO recompense_app;
    END IF;
END
$$;
"""

DOWNGRADE = """
DROP INDEX merchants_by_payout_schedule;
DROP TABLE payout_run_items;
DROP TABLE payout_runs;
DROP TABLE payout_run_days;
"""


def upgrade() -> None:
    """Create the tables, and the index that finds a run's merchants."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop them with all that is in them."""
    op.execute(DOWNGRADE)
